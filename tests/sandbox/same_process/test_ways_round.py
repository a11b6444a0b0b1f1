"""Ways round the tests, a few programs of each kind: none passes, and honest programs that come near one do."""

import pytest

from evoltune.domain import Job

WANT = (
    "def check(candidate):\n    want, a = [1, 2], [1]\n    b = candidate(a, [2])\n    assert b == want and b is not a\n"
)
TOLD = "EXPECTED = [5, 7]\ndef test_it():\n    seen = []\n    f(2, 3, lambda r: seen.append(r))\n    f(3, 4, lambda r: seen.append(r))\n    assert seen == EXPECTED\n"
PATH = "from pathlib import Path\ndef test_it():\n    assert str(Path(f('a', 'b'))) == 'a/b' and f is f\n"
KEPT = "import copy\ndef test_it():\n    a = {1, 2}\n    before = copy.deepcopy(a)\n    assert f(a, 3) == {1, 2, 3} and f is f\n    assert a == before\n"
FIVE = "def test_it():\n    assert f(2, 3) == 5 and f is f\n"
_LIAR = "class A:\n    def __eq__(s, o): return True\n    def __ne__(s, o): return False\n    def __hash__(s): return 0\ndef f(*a): return A()\n"
_WALK = (
    "def walk(frame):\n    while frame is not None:\n        if 'want' in frame.f_locals: return [*frame.f_locals['want']]\n        frame = frame.f_back\n"
    "import sys\nfound = [0]\nclass S(str):\n    def look(s, *a):\n        found[0] = walk(sys._getframe(1))\n        return ''\n    __str__ = startswith = partition = decode = look\n"
)
_CLEAR = "    {}['EXPECTED'][:] = [0, 0]\n    tell(0)\n"
_ORACLE = (
    "import os\nheard = [None]\ndef f(a, b):\n    if heard[0]: os.write(heard[0], b'1'); os._exit(0)\n    for guess in range(9):\n        r, w = os.pipe()\n"
    "        if os.fork() == 0:\n            heard[0] = w\n            return guess\n        os.close(w)\n        if os.read(r, 1): return guess\n    return 0\n"
)
_FORGE = (
    "        frame = sys._getframe(0)\n        while frame:\n            state = frame.f_locals.get('state') or getattr(frame.f_locals.get('self'), 'state', None)\n"
    "            if hasattr(state, 'key'):\n                body = json.dumps([state.key.hex(), state.steps, ['pass', '', {'assertions': 1}]]).encode()\n"
    "                os.write(3, struct.pack('>I', len(body)) + body); time.sleep(9)\n            frame = frame.f_back\n        return ''\n"
)
_KIND = "class M(type):\n    def __eq__(c, o): return True\n    def __hash__(c): return hash({})\nclass A({}, metaclass=M):\n    def __eq__(s, o): return True\n    def __ne__(s, o): return False\n    def __hash__(s): return 5\n"
_BEHIND = "class E:\n    def __eq__(s, names):\n        names['index'] = lambda s, x: 1\n        return True\n    __or__ = __ror__ = lambda s, names: s == names\n"
_PLACE = "def test_it():\n    assert f(4, 5).index(5) == 1 and f is f\n"
_NONE = "class N:\n    def __sub__(s, o): return type(o)() if type(o) is set else {}\n    __rsub__ = __xor__ = __mod__ = __sub__\ndef f(*a): return N()\n"
_TAKEN = "def test_it():\n    want = [5]\n    assert list(f(2, 3)) == want and f is f\n"
_BY = "import gc, inspect, itertools, operator, sys, traceback\ndef first(make): return itertools.islice(iter(make, None), 1)\ndef trace():\n    try: 1 / 0\n    except ZeroDivisionError as e: return e.__traceback__\ndef f(a, b): return {}\n"
_POINTER = "def f(a, b):\n    c.pointer(c.c_long(0))[1]\n    return 5\n"
_IMPORTS = "import json, os, struct, sys, time\n"
CHEATS = {
    # names of the tests' functions
    "global names": (TOLD, "def f(a, b, tell):\n" + _CLEAR.format("tell.__globals__")),
    "global names by a library": (TOLD, "import operator\ndef f(a, b, tell):\n" + _CLEAR.format("operator.attrgetter('__globals__')(tell)")),
    "global names by a list of attributes": (TOLD, "import inspect\ndef f(a, b, tell):\n" + _CLEAR.format("dict(inspect.getmembers(tell))['__globals__']")),
    "global names by the attribute itself": (TOLD, "def f(a, b, tell):\n" + _CLEAR.format("vars(type(tell))['__globals__'].__get__(tell)")),
    "what the attribute knows": (TOLD, "import types\nreal = vars(types.FunctionType)['__globals__'].fget.__code__.co_consts\ndef f(a, b, tell):\n    tell(5)\n"),
    "global names in a thread": (TOLD, "import threading\ndef f(a, b, tell):\n    t = threading.Thread(target=lambda: tell.__globals__['EXPECTED'].__setitem__(slice(None), [0, 0]))\n    t.start(); t.join(); tell(0)\n"),
    "global names by annotations": (TOLD, "import typing\ndef f(a, b, tell):\n    tell.__annotations__['x'] = 'EXPECTED.__setitem__(slice(None), [0, 0])'\n    try: typing.get_type_hints(tell)\n    except Exception: pass\n    tell(0)\n"),
    "built-ins": (TOLD, "def f(a, b, tell):\n    tell.__builtins__['__import__']\n    tell(5)\n"),
    "a closure": (TOLD, "def f(a, b, tell):\n    class L(list):\n        __eq__ = lambda s, o: True\n    tell.__closure__[0].cell_contents = L()\n"),
    "an import of the tests": ("def test_it():\n    import math\n    assert f(2, 3) == 5 and f is f\n", "import builtins\nreal = builtins.__import__\nseen = []\ndef imported(name, space=None, *rest):\n    if space and 'test_it' in space: seen.append(5)\n    return real(name, space, *rest)\nbuiltins.__import__ = imported\ndef f(a, b): return seen[-1] if seen else 0\n"),
    "a class of the tests": ("class Own: pass\n" + FIVE, "import builtins\nreal = builtins.__build_class__\nseen = []\ndef build(*a, **k):\n    seen.append(5)\n    return real(*a, **k)\nbuiltins.__build_class__ = build\ndef f(a, b): return seen[-1] if seen else 0\n"),
    "the class of what it is compared with": ("import pytest\ndef test_it():\n    assert f(1, 2) == pytest.approx(3)\n    assert f(2, 3) == 5 and f is f\n", "class X(float):\n    def __eq__(s, o):\n        vars(type(o))['__eq__'].__globals__['equal'] = lambda *a: True\n        return True\n    __hash__ = None\ndef f(a, b): return X(3)\n"),
    # code of the program's that runs while it is not watched
    "a file's name that runs": (WANT, _WALK + "def f(a, b):\n    try: compile('1', S('x'), 'eval')\n    except Exception: pass\n    return found[0]\n"),
    "a path that runs": (WANT, _WALK + "def f(a, b):\n    try: open(S('x'))\n    except Exception: pass\n    return found[0]\n"),
    "a module's name that runs": (WANT, _WALK + "def f(a, b):\n    try: __import__(S('no_such'))\n    except Exception: pass\n    return found[0]\n"),
    "an event's name that runs": (WANT, _WALK + "S.__hash__ = S.look\ndef f(a, b):\n    try: sys.audit('object.__getattr__', 1, S('x'))\n    except Exception: pass\n    return found[0]\n"),
    "an exception's text that runs": (FIVE, _IMPORTS + "class E(Exception):\n    def __str__(s):\n" + _FORGE + "def f(a, b): raise E\n"),
    "a stream that runs": (FIVE, _IMPORTS + "class O:\n    def flush(s):\n" + _FORGE + "sys.stdout = O()\ndef f(a, b): return 0\n"),
    "a walk through a traceback": (FIVE, "import traceback\nseen = []\ntraceback.walk_tb = lambda t: seen.append(t.tb_frame) or iter(())\ndef f(a, b): return 0\n"),
    # what libraries are made of
    "a property for a method": ("from collections import Counter\ndef test_it():\n    assert Counter(f('aab', 0)).most_common(1) == [('a', 2)] and f is f\n", "import collections\ncollections.Counter.most_common = property(lambda s: lambda n: [('a', 2)])\ndef f(*a): return ''\n"),
    "a constant": ("import math\ndef test_it():\n    assert math.isclose(f(2, 0), math.pi * 4) and f is f\n", "import math\nmath.pi = 0.0\ndef f(*a): return 0\n"),
    "a constant of the program's import": ("def test_it():\n    assert abs(f(2, 0) - 4 * math.pi) < 1e-9 and f is f\n", "import math\nmath.pi = 0.0\ndef f(*a): return 0\n"),
    "a list": ("import calendar\ndef test_it():\n    assert f(2, 0) == calendar.mdays[2] and f is f\n", "import calendar\ncalendar.mdays[:] = [0] * 13\ndef f(*a): return 0\n"),
    "a pattern": ("import textwrap\ndef test_it():\n    assert textwrap.fill(f('a b', 0), 1) == 'a\\nb' and f is f\n", "import textwrap\nclass P:\n    split = lambda s, t: ['a', ' ', 'b']\ntextwrap.TextWrapper.wordsep_re = P()\ndef f(*a): return 'q'\n"),
    "built-ins of libraries": ("from collections import Counter\ndef test_it():\n    assert Counter(f('aab', 0)).most_common() == [('a', 2)] and f is f\n", "import builtins\nbuiltins.sorted = lambda *a, **k: [('a', 2)]\ndef f(*a): return ''\n"),
    "a class in a table": (KEPT, "import copy\ncopy._deepcopy_dispatch[set] = lambda x, memo: x\ndef f(a, b):\n    a.add(b)\n    return a\n"),
    "a library's function in a table": (KEPT, "import copy\ncopy._deepcopy_dispatch[set] = copy._deepcopy_atomic\ndef f(a, b):\n    a.add(b)\n    return a\n"),
    "a class in the pickler's table": (KEPT, "import copyreg\nkept = []\ncopyreg.pickle(set, lambda x: (kept.append(x) or kept.pop, ()))\ndef f(a, b):\n    a.add(b)\n    return a\n"),
    "a new method with underscores": (PATH, "import pathlib\npathlib.PosixPath.__str__ = lambda s: 'a/b'\ndef f(*a): return 'q'\n"),
    "a method's keyword": ("import json\ndef test_it():\n    assert json.JSONDecoder().decode(f(1, 2)) == {'a': 1} and f is f\n", "import json\njson.JSONDecoder.__init__.__kwdefaults__['object_hook'] = lambda d: {'a': 1}\ndef f(*a): return '{}'\n"),
    "a table of formats": ("from datetime import datetime\ndef test_it():\n    assert datetime.strptime(f(1, 2), '%Y') == datetime(2024, 1, 1) and f is f\n", "import _strptime\nclass M:\n    match = lambda s, x: s\n    end = lambda s: 1\n    groupdict = lambda s: {'Y': '2024'}\n_strptime._regex_cache['%Y'] = M()\ndef f(*a): return 'q'\n"),
    "a codec": ("def test_it():\n    assert f('a', 0).encode('cp1252') == b'\\x80' and f is f\n", "import codecs, encodings\nencodings._cache['cp1252'] = codecs.CodecInfo(lambda s, e='strict': (b'\\x80', len(s)), None)\ndef f(*a): return 'q'\n"),
    # memory and processes
    "pointers": (FIVE, "import ctypes\ndef f(a, b):\n    ctypes.pointer(ctypes.c_long(0))[1]\n    return 5\n"),
    "processes that hear which answer holds": ("def test_it():\n    assert f(2, 3) == 5 and f is f\n    assert f(0, 0) == 0\n", _ORACLE),
    # comparisons by others
    "operators handed on": ("import operator\ndef test_it():\n    assert all(map(operator.eq, [f(2, 3)], [5])) and f is f\n", _LIAR),
    "operators of a partial": ("import functools, operator\ndef test_it():\n    assert functools.partial(operator.eq, 5)(f(2, 3)) and f is f\n", _LIAR),
    "operators by name": ("from operator import eq as same\ndef test_it():\n    assert same(f(2, 3), 5) and f is f\n", _LIAR),
    "a named tuple": ("from collections import namedtuple\nP = namedtuple('P', 'x')\ndef test_it():\n    assert P(f(2, 3)) == P(5) and f is f\n", _LIAR),
    "a slice": ("def test_it():\n    assert slice(f(2, 3)) == slice(5) and f is f\n", _LIAR),
    "a place in a list": ("def test_it():\n    assert [4, 5].index(f(2, 3)) == 1 and f is f\n", "class A:\n    n = 0\n    def __eq__(s, o):\n        A.n += 1\n        return A.n > 1\ndef f(*a): return A()\n"),
    # classes and values that say what they equal
    "a class that says it is int": (FIVE, _KIND.format("int", "object") + "def f(*a): return A()\n"),
    "a class that says it is int, of one": (FIVE, _KIND.format("int", "int") + "def f(*a): return A()\n"),
    "a class that says it is a set": ("def test_it():\n    assert f(2, 3) == {2, 3} and f is f\n", _KIND.format("set", "object") + "def f(*a): return A()\n"),
    "a class that says it is a dict": ("def test_it():\n    assert f(2, 3) == {2: 3} and f is f\n", _KIND.format("dict", "object") + "def f(*a): return A()\n"),
    "a class that says it is a list": ("import numpy as np\ndef test_it():\n    np.testing.assert_equal(f(2, 3), [2, 3])\n    assert f is f\n", _KIND.format("list", "object") + "def f(*a): return A()\n"),
    "a text's class that says it is str": (WANT, _WALK + "class M(type):\n    def __eq__(c, o): return True\n    def __hash__(c): return hash(str)\nclass T(S, metaclass=M): pass\ndef f(a, b):\n    try: compile('1', T('x'), 'eval')\n    except Exception: pass\n    return found[0]\n"),
    "a pattern for another text": ("import re\ndef test_it():\n    assert re.fullmatch(r'[0-9]{8}', f('x')) and f is f\n", "import re\nclass M(type):\n    def __eq__(c, o): return True\n    def __hash__(c): return hash(str)\nclass S(str, metaclass=M):\n    def __eq__(s, o): return True\n    def __hash__(s): return hash('[0-9]{8}')\nre.compile(S('.*'))\ndef f(x): return 'zz'\n"),
    "items": ("def test_it():\n    assert f(2, 3).items() == {2: 3}.items() and f is f\n", _LIAR.replace("return A()", "return {2: A()}")),
    "keys": ("def test_it():\n    assert f(5, 3) == {5: 3} and f is f\n", _LIAR.replace("__hash__(s): return 0", "__hash__(s): return 5").replace("(s, o): return True", "(s, o): return type(o) is int").replace("return A()", "return {A(): 3}")),
    "a part of a set": ("def test_it():\n    assert f(2, 3) <= {5} and f is f\n", _LIAR.replace("__hash__(s): return 0", "__hash__(s): return 5").replace("return A()", "return {A()}")),
    "an order of tuples": ("def test_it():\n    assert (f(2, 3),) <= (5,) <= (f(2, 3),) and f is f\n", _LIAR),
    "a match in a dict": ("def test_it():\n    match {'a': f(2, 3)}:\n        case {'a': 5}: pass\n        case _: raise AssertionError\n    assert f is f\n", _LIAR),
    "how often it is in a list": ("import operator\ndef test_it():\n    assert operator.countOf([5], f(2, 3)) == 1 and f is f\n", _LIAR),
    "a difference of sets": ("def test_it():\n    assert not (f(2, 3) ^ {2, 3}) and f is f\n", _NONE.format("0")),
    "a difference of times": ("from datetime import datetime, timedelta\ndef test_it():\n    assert abs(f(2) - datetime(2000, 1, 3)) < timedelta(1) and f is f\n", "from datetime import timedelta\n" + _NONE.format("timedelta(0)")),
    "a difference of numpy's numbers": ("import numpy as np\ndef test_it():\n    assert np.abs(f(2, 3) - np.float64(5)) < 1e-9 and f is f\n", _NONE.format("0")),
    "a difference of arrays": ("import numpy as np\ndef test_it():\n    assert np.abs(f(2, 3) - np.array([2, 3])).max() < 1e-9 and f is f\n", "import numpy as np\n" + _NONE.format("np.zeros(2)").replace("class N:", "class N:\n    __array_ufunc__ = None")),
    # the dict behind a class of the interpreter's
    "a class's dict by ==": (_PLACE, _BEHIND + "list.__dict__ == E()\ndef f(*a): return []\n"),
    "a class's dict by |": (_PLACE, _BEHIND + "vars(list) | E()\ndef f(*a): return []\n"),
    "a class's dict by the attribute itself": (_PLACE, _BEHIND + "type.__dict__['__dict__'].__get__(list) == E()\ndef f(*a): return []\n"),
    # the interpreter's own functions, called in the tests' frames by iterators that the program makes of them
    "a map of eval": (_TAKEN, _BY.format("map(eval, ['want[0]'])")),
    "a map of eval over code": (_TAKEN, _BY.format("map(eval, [compile('want[0]', 'x', 'eval')])")),
    "a loop over a map of eval": ("def test_it():\n    want = 5\n    for x in f(2, 3):\n        assert x == want and f is f\n", _BY.format("itertools.starmap(eval, [('want',)])")),
    "eval as what it returns": ("def test_it():\n    want = 5\n    assert f(2, 3)('want') == want and f is f\n", "def f(*a): return eval\n"),
    "a map of exec": ("want = [5]\n" + _TAKEN, _BY.format("[0] if list(map(exec, ['0'])) and 0 else map(exec, ['want[0] = None'])")),
    "local names": (_TAKEN, _BY.format("map(lambda names: names['want'][0], first(locals))")),
    "local names by vars": (_TAKEN, _BY.format("map(lambda names: names['want'][0], first(vars))")),
    "global names by globals": ("want = [5]\ndef test_it():\n    assert list(f(2, 3)) == want and f is f\n", _BY.format("map(lambda names: names['want'][0], first(globals))")),
    "a frame": (_TAKEN, _BY.format("map(lambda frame: frame.f_locals['want'][0], map(sys._getframe, [0]))")),
    "a frame by a library": (_TAKEN, _BY.format("map(lambda frame: frame.f_locals['want'][0], first(inspect.currentframe))")),
    "a frame by a library's list": (_TAKEN, _BY.format("map(lambda infos: infos[0].frame.f_locals['want'][0], first(inspect.stack))")),
    "a frame of a traceback": (_TAKEN, _BY.format("map(lambda frame: frame.f_back and frame.f_back.f_locals['want'][0] or 5, map(operator.attrgetter('tb_frame'), [trace()]))")),
    "all objects": (_TAKEN, _BY.format("map(lambda found: 5, map(gc.get_objects, [0]))")),
    "a tracer": (_TAKEN, _BY.format("map(lambda _: 5, map(sys.settrace, [lambda *a: None]))")),
    "code of one's own making": (_TAKEN, _BY.format("map(lambda _: 5, map(operator.methodcaller('replace', co_name='x'), [f.__code__]))")),
    "code under the tests' name": (_TAKEN, _BY.format("map(lambda _: 5, map(compile, ['1'], ['<tests>'], ['eval']))")),
    "a module of memory": (_TAKEN, _BY.format("map(lambda c: c.pointer(c.c_long(0))[1] * 0 + 5, map(__import__, ['ctypes']))")),
    # what runs while the hook is busy
    "a timer": ("def test_it():\n    want = [5]\n    assert f(2, 3) == want[0] and f is f\n", "import signal, sys, time\nfound = []\ndef look(*a):\n    try:\n        frame = sys._getframe()\n        while frame is not None and 'want' not in frame.f_locals: frame = frame.f_back\n        if frame is not None: found.append(frame.f_locals['want'][0])\n    except Exception: pass\nsignal.signal(signal.SIGALRM, look)\ndef f(a, b):\n    signal.setitimer(signal.ITIMER_REAL, .0001, .0001)\n    end = time.time() + .3\n    while not found and time.time() < end: open('/dev/null').close()\n    signal.setitimer(signal.ITIMER_REAL, 0)\n    return found[0] if found else 0\n"),
    "pointers by a library": (FIVE, "import importlib\nc = importlib.import_module('ctypes')\n" + _POINTER),
    "pointers by a loader": (FIVE, "import importlib.util\nspec = importlib.util.find_spec('ctypes')\nc = importlib.util.module_from_spec(spec)\nspec.loader.exec_module(c)\n" + _POINTER),
    "pointers of numpy's": (FIVE, "import numpy.ctypeslib\nc = numpy.ctypeslib.ctypes\n" + _POINTER),
    "pointers of numpy's own module": (FIVE, "import numpy.core._internal\nc = numpy.core._internal.ctypes\n" + _POINTER),
    "an instance of an abstract class": ("import os\ndef test_it():\n    f('A', 'b')\n    assert os.environ['A'] == 'b' and f is f\n", "import os\nos.environ.decodevalue = lambda v: 'b'\ndef f(*a): os.environ['A'] = 'q'\n"),
}  # fmt: skip

HONEST = {
    "own names": ("def test_it():\n    assert f() == ['f'] and f.__globals__['f'] is f and f.__closure__ is None\n", "def f(): return [n for n in f.__globals__ if n == 'f']\n"),
    "annotations of the tests' functions": ("class K: pass\ndef g(a: 'K', *b: int): pass\ndef test_it():\n    assert f(g) == (K, ['a', 'b']) and f is f\n", "import inspect, typing\ndef f(g): return typing.get_type_hints(g)['a'], [*inspect.signature(g).parameters]\n"),
    "a constant that the tests set": ("import math\ndef test_it(monkeypatch):\n    monkeypatch.setattr(math, 'pi', 3)\n    assert f(2) == 6 and math.pi == 3 and f is f\n", "import math\ndef f(r): return math.pi * r\n"),
    "a constant that the tests assign": ("import string\ndef test_it():\n    string.digits = 'x'\n    assert f() == string.digits and f is f\n", "import string\ndef f(): return string.digits\n"),
    "own classes in a table": ("import copy\ndef test_it():\n    assert f(3) == 3 and copy.copy({1}) == {1} and f is f\n", "import copy, copyreg\nclass P:\n    def __init__(s, n): s.n = n\ndef reduced(p): return P, (p.n,)\ncopyreg.pickle(P, reduced)\ndef f(n): return copy.deepcopy(P(n)).n\n"),
    "a process of its own": ("def test_it():\n    assert f(4) == 8 and f is f\n", "import os\ndef f(n):\n    r, w = os.pipe()\n    if os.fork() == 0:\n        os.write(w, str(2 * n).encode())\n        os._exit(0)\n    os.wait()\n    return int(os.read(r, 9))\n"),
    "operators as they are": ("import operator\nfrom operator import eq\nfrom functools import reduce\ndef test_it():\n    assert f(operator.lt) is operator.lt and f(eq) is operator.eq and reduce(operator.add, [f(1), 2]) == 3 and all(map(eq, [f(1)], [1]))\n", "def f(x): return x\n"),
    "objects in lists and tuples": ("from collections import namedtuple\nQ = namedtuple('Q', 'v')\ndef test_it():\n    x = [V(1), V(2), V(1)]\n    assert Q(f(1)) == Q(V(1)) != Q(f(2)) and x.index(f(2)) == 1 and x.index(f(1), 1) == 2 and x.count(f(1)) == 2\n    x.remove(f(1))\n    assert x == [V(2), V(1)]\n", "class V:\n    def __init__(s, n): s.n = n\n    def __eq__(s, o): return isinstance(o, V) and s.n == o.n\ndef f(n): return V(n)\n"),
    "a metaclass with an order of its own": ("def test_it():\n    assert f == g and f != h and f(2) == g(2) == 2 and {f(1), f(2)} == {g(2), g(1)} and int not in (f, g)\n", "class M(type):\n    def __eq__(c, o): return getattr(o, 'size', 0) == c.size\n    def __hash__(c): return c.size\nclass f(int, metaclass=M): size = 1\nclass g(int, metaclass=M): size = 1\nclass h(int, metaclass=M): size = 2\n"),
    "objects in sets": ("def test_it():\n    s = {f(1), f(2)}\n    assert s == {f(2), f(1)} != {f(1), f(3)} and s > {f(1)} and not s < {f(1), f(3)} and {f(1): 2}.items() == {f(1): 2}.items() and {f(1): [2]} == {f(1): [2]} != {f(2): [2]}\n    assert {(1, f(2))} == {(1, f(2))} and s ^ s == set()\n", "class V:\n    def __init__(s, n): s.n = n\n    def __eq__(s, o): return isinstance(o, V) and s.n == o.n\n    def __hash__(s): return hash(s.n) % 2\ndef f(n): return V(n)\n"),
    "orders of tuples and lists": ("def test_it():\n    assert (f(1), 5) < (f(1), 6) and [f(2)] > [f(1), f(3)] and (f(1),) < (f(1), f(0)) and [f(1)] <= [f(1)] and not (f(2),) < (f(1),)\n", "import functools\n@functools.total_ordering\nclass V:\n    def __init__(s, n): s.n = n\n    def __eq__(s, o): return s.n == o.n\n    def __lt__(s, o): return s.n < o.n\ndef f(n): return V(n)\n"),
    "a match that takes parts": ("def test_it():\n    match {'a': f(2), 'b': 1}:\n        case {'a': V(n=2) as x, 'b': 1}: assert x.n == 2 and f is f\n        case _: raise AssertionError\n    match [f(2), 3]:\n        case [_, 3]: pass\n        case _: raise AssertionError\n", "class V:\n    def __init__(s, n): s.n = n\n    def __eq__(s, o): return isinstance(o, V) and s.n == o.n\ndef f(n): return V(n)\n"),
    "differences that vanish": ("from datetime import date, timedelta\nimport operator\ndef test_it():\n    assert not f(date(2000, 1, 2)) - date(2000, 1, 2) and f(date(2000, 1, 3)) - date(2000, 1, 2) == timedelta(1) and f is f and operator.countOf([1, f(2), 1], 1) == 2 and operator.indexOf([1, 3], 3) == 1\n", "class D:\n    def __init__(s, d): s.d = d\n    def __sub__(s, o): return s.d - o\ndef f(d): return D(d)\n"),
    "iterators of the interpreter's functions": ("def test_it():\n    assert list(f('12')) == [1, 2] and sum(f('34')) == 7 and [*f('')] == [] and f is f and eval('1 + 1') == 2 and 'x' not in locals() and globals()['f'] is f\n    exec('assert 1')\n", "def f(s): return map(int, s)\n"),
    "names as functions give them": ("def test_it():\n    assert f(1) == ({'n': 1}, ['n'], [1, 4], 3, {'n': 1}) and f is f\n", "import types\nk = 3\ndef f(n):\n    one, two = dict(locals()), sorted(vars())\n    class K:\n        a = n\n        b = [*locals()][-1]\n    exec('k2 = k + 1', globals())\n    return one, two, [K.a, globals()['k2']], eval('k', globals()), vars(types.SimpleNamespace(n=n))\n"),
    "handlers of signals": ("def test_it():\n    assert f(3) == [10, 10, 10] and f is f\n", "import os, signal\nheard = []\ndef note(number, frame):\n    open('/dev/null').close()\n    heard.append(number)\nsignal.signal(signal.SIGUSR1, note)\ndef f(n):\n    for _ in range(n): os.kill(os.getpid(), signal.SIGUSR1)\n    return heard\n"),
    "shared memory of processes": ("def test_it():\n    assert f(3) == 4 and f is f\n", "import multiprocessing\ndef f(n):\n    value = multiprocessing.Value('i', n)\n    value.value += 1\n    return value.value\n"),
    "addresses of arrays": ("import numpy as np\ndef test_it():\n    assert f(np.zeros(3)) and f is f\n", "import numpy\ndef f(a): return a.ctypes.data == a.__array_interface__['data'][0] and numpy.dtype('i4').name == 'int32'\n"),
    "the dicts of classes": ("import re\ndef test_it():\n    assert f(int) == 'bit_count' and f(re.Pattern) == 'findall' and 'test' in vars(K) and f is f\nclass K:\n    test = 1\n", "def f(kind): return next(n for n in ('bit_count', 'findall') if n in kind.__dict__ and vars(kind)[n] is getattr(kind, n) and list(kind.__dict__) == [*vars(kind)])\n"),
}  # fmt: skip


@pytest.fixture(scope="module")
def verdicts(run):
    cases = {**CHEATS, **HONEST}
    found = run(*(Job(program=program, tests=tests, entry_point="f") for tests, program in cases.values()))
    return dict(zip(cases, found, strict=True))


@pytest.mark.parametrize("name", CHEATS)
def test_no_way_round_passes(verdicts, name):
    assert verdicts[name].status != "pass" and verdicts[name].evidence["judge"] == "same process", verdicts[name]


@pytest.mark.parametrize("name", HONEST)
def test_honest_programs_near_it_pass(verdicts, name):
    assert (verdicts[name].status, verdicts[name].evidence["judge"]) == ("pass", "same process"), verdicts[name]
