/* The machine's clock is off by the seconds that the file CLOCK_OFF holds, read at each look. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

int clock_gettime(clockid_t clock, struct timespec *found) {
    int failed = (int)syscall(SYS_clock_gettime, clock, found);
    const char *name = getenv("CLOCK_OFF");
    char text[32] = {0};
    if (failed || clock != CLOCK_REALTIME || !name) return failed;
    int file = (int)syscall(SYS_openat, AT_FDCWD, name, O_RDONLY | O_CLOEXEC);
    if (file < 0) return failed;
    if (syscall(SYS_read, file, text, sizeof text - 1) > 0) found->tv_sec += atol(text);
    syscall(SYS_close, file);
    return failed;
}
