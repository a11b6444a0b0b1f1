/* Calls the `main` of tests in C, C++ or Rust, and reports that it came to its end.

   Linked with --wrap=main. The secret is read before anything of the program runs, and lies in a page of its own; system calls are
   made here, because the program may define functions of their names. @NONCE@ is another word in each build. */
#if defined(__x86_64__)
static long call(long number, long a, long b, long c, long d, long e, long f) {
    long result;
    register long r10 __asm__("r10") = d, r8 __asm__("r8") = e, r9 __asm__("r9") = f;
    __asm__ volatile("syscall" : "=a"(result) : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9) : "rcx", "r11", "memory");
    return result;
}
enum { READ = 0, WRITE = 1, CLOSE = 3, MMAP = 9, EXIT_GROUP = 231 };
#else
static long call(long number, long a, long b, long c, long d, long e, long f) {
    register long x8 __asm__("x8") = number, x0 __asm__("x0") = a, x1 __asm__("x1") = b, x2 __asm__("x2") = c;
    register long x3 __asm__("x3") = d, x4 __asm__("x4") = e, x5 __asm__("x5") = f;
    __asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5) : "memory");
    return x0;
}
enum { READ = 63, WRITE = 64, CLOSE = 57, MMAP = 222, EXIT_GROUP = 94 };
#endif
enum { LENGTH = 32 };
extern void exit(int) __attribute__((noreturn));
extern int __real_main(int, char **, char **);
static unsigned long hidden;

static void begin(void) {
    char *page = (char *)call(MMAP, 0, 4096, 3, 0x22, -1, 0);
    call(READ, 3, (long)page, LENGTH, 0, 0, 0);
    call(CLOSE, 3, 0, 0, 0, 0, 0);
    hidden = (unsigned long)page ^ 0x@NONCE@ul;
}
__attribute__((section(".preinit_array"), used)) static void (*const first)(void) = begin;

static void report(int status) {
    char *page = (char *)(hidden ^ 0x@NONCE@ul);
    page[LENGTH] = status == 0 ? '0' : '1';
    call(WRITE, 4, (long)page, LENGTH + 1, 0, 0, 0);
    call(CLOSE, 4, 0, 0, 0, 0, 0);
}

void exit_@NONCE@(int status) {
    report(status);
    exit(status);
}

static void say(const char *text) {
    long length = 0;
    while (text[length]) ++length;
    call(WRITE, 2, (long)text, length, 0, 0, 0);
}

void failed_@NONCE@(const char *condition, const char *file, unsigned line, const char *function) {
    char digits[12], *p = digits + sizeof digits;
    for (*--p = 0; line || !*p; line /= 10) {
        *--p = '0' + line % 10;
        if (line < 10) break;
    }
    say(file), say(":"), say(p), say(": "), say(function), say(": Assertion `"), say(condition), say("' failed.\n");
    for (;;) call(EXIT_GROUP, 134, 0, 0, 0, 0, 0);
}

int __wrap_main(int count, char **arguments, char **environment) {
    int status = __real_main(count, arguments, environment);
    report(status);
    return status;
}
