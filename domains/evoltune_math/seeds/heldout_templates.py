"""Templates of the held-out suite `gradeschool-heldout`, in the notation of `templates.py`.

The skills and the size of the numbers are those of the seeds; the situations and sentences are others. Invariant: no
template and no equation of the suite occurs among the seeds (tests/evoltune_math/test_seeds.py); its rows are never trained on.
"""

HELDOUT_TEMPLATES = """
addition | A zoo keeps {a} monkeys and {b} parrots. What is the total number of these animals? | a=3..20 b=2..12 | a+b
addition | This morning {n} planted {a} bulbs, and this afternoon another {b}. How many bulbs has {he} planted today? | a=3..20 b=2..12 | a+b
addition | On a farm there are {a} hens, {b} ducks and {c} geese. How many birds live on the farm? | a=2..15 b=2..12 c=2..9 | a+b; $1+c
addition | The old bridge is {a} yards long; the new one measures {b} yards more. What is the length of the new bridge in yards? | a=3..20 b=2..12 | a+b
subtraction | Out of {a} candles, {b} went out in the wind. How many candles kept burning? | a=6..20 b=2..9 | a-b
subtraction | A pilot must fly {a} kilometres. So far {b} kilometres are behind him. How many kilometres are still ahead? | a=6..20 b=2..9 | a-b
subtraction | A bottle contained {a} pills. {n} took {b} last week and {c} this week. How many pills are in the bottle now? | a=6..24 b=2..8 c=2..6 | a-b; $1-c
subtraction | The team wants to collect {a} cans and has found {b} until now. How many cans are missing? | a=6..20 b=2..9 | a-b
comparison | A whale swam {a} knots and a dolphin {b} knots. By how many knots was the whale faster? | a=6..20 b=2..9 | a-b
comparison | In the election {n} got {a} votes, {b} votes fewer than {m}. How many votes did {m} get? | a=3..20 b=2..12 | a+b
comparison | The red tower has {a} floors. The white tower has {k} times that number. How many floors does the white tower have? | a=3..9 k=2..8 | a*k
comparison | {n} solved {a} riddles and {m} solved {b} riddles fewer. How many riddles were solved by the pair? | a=6..24 b=2..8 | a-b; a+$1
multiplication | On each of {a} plates lie {b} dumplings. How many dumplings are there on the plates? | a=2..9 b=3..9 | a*b
multiplication | One ladder has {a} rungs. How many rungs do {b} such ladders have? | a=3..9 b=2..9 | a*b
multiplication | A parking house has {a} levels with {b} cars on every level, and {c} cars wait outside. How many cars are there in all? | a=2..9 b=3..9 c=2..12 | a*b; $1+c
multiplication | {n} writes {a} letters per evening. How many letters has {he} written after {b} evenings? | a=2..9 b=3..9 | a*b
multiplication | An orchard has {a} rows with {b} trees. A storm fells {c} trees. How many trees are standing? | a=3..9 b=3..9 c=2..9 | a*b; $1-c
division | {a} soldiers march in rows of {b}. How many rows do they form? | a=6..48 b=3..9 | a/b
division | A grandmother divides {a} coins fairly among her {b} grandchildren. What is the share of each grandchild? | a=6..48 b=2..9 | a/b
division | {n} picks {a} roses, throws {b} wilted ones away and ties the others into bunches of {c}. How many bunches does {he} tie? | a=6..24 b=2..8 c=3..9 | a-b; $1/c
division | A cook has {a} bags with {b} potatoes. He uses {c} potatoes for each soup. How many soups can he cook? | a=3..9 b=3..9 c=2..8 | a*b; $1/c
leftover | {n} owns {a} beads and makes {b} bracelets using {c} beads for each. How many beads are not used? | a=10..40 b=2..5 c=2..6 | b*c; a-$1
leftover | A pond had {a} frogs. {b} hopped away, and later {c} came back. How many frogs are in the pond at the end? | a=6..24 b=2..8 c=2..6 | a-b; $1+c
money | One kilo of cheese costs ${a}. What do {b} kilos cost, in dollars? | a=3..9 b=2..9 | a*b
money | For a phone of ${a}, {n} has put aside ${b}. How many dollars is {he} short? | a=6..20 b=2..9 | a-b
money | {n} orders {a} bowls of soup at ${b} a bowl and hands over ${c}. How many dollars does the waiter return? | a=2..7 b=3..9 c=30,40,50 | a*b; c-$1
money | At the fair {n} pays ${a} to get in and takes {b} rides, each for ${c}. How many dollars does the day cost? | a=2..12 b=2..9 c=2..8 | b*c; a+$1
money | {b} dollars were paid for {a} identical chairs. What was the price of one chair in dollars? | a=2..9 b=6..48 | b/a
rate | A snail crawls {a} inches per minute. How far, in inches, does it get in {b} minutes? | a=3..9 b=3..9 | a*b
rate | In {b} minutes a pump moves {a} gallons of water. How many gallons does it move per minute? | a=6..48 b=2..9 | a/b
rate | {n} knits {a} rows an hour. {He} knits for {b} hours today and for {c} hours tomorrow. How many rows does {he} knit? | a=3..9 b=2..7 c=2..7 | b+c; a*$1
percentage | Of {a} seeds, {p} percent sprouted. How many seeds sprouted? | a=10..80 p=10,20,25,50 | a*p; $1/100
percentage | {n} has to drive {a} miles and has done {p}% of the way. How many miles has {he} driven? | a=20..60 p=10,20,25,50 | a*p; $1/100
fraction | One {third} of the {a} lamps in a hall are broken. How many lamps are broken? | a=12..60 k=3..6 | a/k
fraction | A herd has {a} goats, and one {third} of the goats are white. How many goats are not white? | a=12..60 k=3..6 | a/k; a-$1
fraction | A tank takes {a} litres and is half full of oil. How many litres of oil are in it? | a=6..98 | a/2
average | The temperatures on three days were {a}, {b} and {c} degrees. Find the mean temperature. | a=2..15 b=2..12 c=2..9 | a+b; $1+c; $2/3
average | {n} drank {a} glasses of water over {b} days. How many glasses did {he} drink per day on average? | a=6..48 b=2..9 | a/b
time | The ferry needs {a} minutes for one crossing. How many minutes does it need for {b} crossings? | a=3..9 b=2..9 | a*b
time | A nap of {a} minutes was followed by a walk of {b} minutes. How many minutes passed? | a=3..20 b=2..12 | a+b
age | When {n} was {a}, {his} brother was born. How old is {n} when the brother is {b}? | a=3..20 b=2..12 | a+b
age | The teacher is {k} times as old as her pupil {n}. {n} is {a}. What is the age of the teacher? | a=3..9 k=2..6 | k*a
geometry | A carpet measures {a} feet by {b} feet. How many square feet does it cover? | a=3..9 b=3..9 | a*b
geometry | Each side of a square garden is {a} yards. How many yards is it all the way round? | a=3..30 | a*4
combination | {n} collects {a} shells, {m} collects {b} shells, and together they throw {c} back into the sea. How many shells do they keep? | a=2..15 b=2..12 c=3..15 | a+b; $1-c
combination | A truck brings {a} crates of {b} melons. The shop sells {c} melons and gives {d} to a school. How many melons remain? | a=3..9 b=3..9 c=2..9 d=2..9 | a*b; $1-c; $2-d
combination | {n} buys {a} tins of {b} cookies and {c} tins of {d} cookies. How many cookies does {he} buy? | a=2..9 b=3..9 c=2..9 d=3..9 | a*b; c*d; $1+$2
"""
