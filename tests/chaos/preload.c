/* Faults at the C library, for processes that call chaos_use: operations that write below one folder are counted, and
   fail, or kill their process; the clock is moved; every result that is renamed into place is noted.
   Loaded with LD_PRELOAD, so that Python's, torch's and DuckDB's writes all pass here. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum { COUNT = 0, ONCE = 1, FROM = 2, KILL = 3 };

struct noted { char path[192]; int process; };

struct control { /* shared by all processes of one fault; tests/chaos/preload.py writes it by these offsets */
    long mode, error, target, count, fired;
    double clock;
    long noted;
    char root[512];
    char operation[256]; /* what was failed, for the report */
    struct noted results[64];
};

static struct control *control;

void chaos_use(void *shared) { control = shared; }

#define REAL(type, name, ...)                                   \
    static type (*real)(__VA_ARGS__);                           \
    if (!real) real = (type(*)(__VA_ARGS__))dlsym(RTLD_NEXT, name);

static int below(const char *path) { return strncmp(path, control->root, strlen(control->root)) == 0; }

static int path_of(int folder, const char *path, char *full) {
    char link[64];
    if (path && path[0] == '/') {
        snprintf(full, PATH_MAX, "%s", path);
        return 1;
    }
    if (path && folder == AT_FDCWD)
        snprintf(link, sizeof link, "/proc/self/cwd");
    else
        snprintf(link, sizeof link, "/proc/self/fd/%d", folder);
    long length = syscall(SYS_readlink, link, full, PATH_MAX - 1);
    if (length < 0) return 0;
    full[length] = 0;
    if (path) snprintf(full + length, PATH_MAX - length, "/%s", path);
    return 1;
}

/* 1 if this operation must fail: errno is set then. */
static int fails(const char *name, int folder, const char *path, int needs_space) {
    char full[PATH_MAX];
    if (!control || !control->root[0]) return 0;
    int before = errno, hit = 0;
    if (path_of(folder, path, full) && below(full)) {
        long number = __atomic_add_fetch(&control->count, 1, __ATOMIC_SEQ_CST);
        if (control->mode == FROM)
            hit = number >= control->target && (needs_space || control->error == EROFS || control->error == EIO);
        else if (control->mode != COUNT)
            hit = number == control->target;
        if (hit && __atomic_add_fetch(&control->fired, 1, __ATOMIC_SEQ_CST) == 1)
            snprintf(control->operation, sizeof control->operation, "%s %.200s", name,
                     full + strnlen(control->root, sizeof control->root));
        if (hit && control->mode == KILL) kill(getpid(), SIGKILL);
    }
    errno = hit ? (int)control->error : before;
    return hit;
}

static void note(int folder, const char *path) {
    char full[PATH_MAX];
    int before = errno;
    if (control && control->root[0] && path_of(folder, path, full) && below(full)) {
        size_t length = strlen(full);
        if (length > 12 && strcmp(full + length - 12, "/result.json") == 0) {
            long number = __atomic_fetch_add(&control->noted, 1, __ATOMIC_SEQ_CST);
            if (number < 64) {
                control->results[number].process = getpid();
                snprintf(control->results[number].path, 192, "%s", full + strlen(control->root));
            }
        }
    }
    errno = before;
}

#define WRITES(flags) (((flags) & O_ACCMODE) != O_RDONLY || ((flags) & (O_CREAT | O_TRUNC)))

#define OPEN(name)                                                      \
    int name(const char *path, int flags, ...) {                        \
        mode_t mode = 0;                                                \
        if (flags & (O_CREAT | O_TMPFILE)) {                            \
            va_list rest;                                               \
            va_start(rest, flags);                                      \
            mode = va_arg(rest, mode_t);                                \
            va_end(rest);                                               \
        }                                                               \
        REAL(int, #name, const char *, int, ...)                        \
        if (WRITES(flags) && fails("open", AT_FDCWD, path, 1)) return -1; \
        return real(path, flags, mode);                                 \
    }
OPEN(open)
OPEN(open64)

#define OPENAT(name)                                                    \
    int name(int folder, const char *path, int flags, ...) {            \
        mode_t mode = 0;                                                \
        if (flags & (O_CREAT | O_TMPFILE)) {                            \
            va_list rest;                                               \
            va_start(rest, flags);                                      \
            mode = va_arg(rest, mode_t);                                \
            va_end(rest);                                               \
        }                                                               \
        REAL(int, #name, int, const char *, int, ...)                   \
        if (WRITES(flags) && fails("open", folder, path, 1)) return -1; \
        return real(folder, path, flags, mode);                         \
    }
OPENAT(openat)
OPENAT(openat64)

#define FOPEN(name)                                                           \
    FILE *name(const char *path, const char *mode) {                          \
        REAL(FILE *, #name, const char *, const char *)                       \
        if (strpbrk(mode, "wa+") && fails("open", AT_FDCWD, path, 1)) return NULL; \
        return real(path, mode);                                              \
    }
FOPEN(fopen)
FOPEN(fopen64)

#define ON_FILE(type, name, space, parameters, types, arguments) \
    type name parameters {                                       \
        REAL(type, #name, types)                                 \
        if (fails(#name, file, NULL, space)) return -1;          \
        return real arguments;                                   \
    }
#define LIST(...) __VA_ARGS__
ON_FILE(ssize_t, write, 1, (int file, const void *from, size_t size), LIST(int, const void *, size_t), (file, from, size))
ON_FILE(ssize_t, pwrite, 1, (int file, const void *from, size_t size, off_t at), LIST(int, const void *, size_t, off_t), (file, from, size, at))
ON_FILE(ssize_t, pwrite64, 1, (int file, const void *from, size_t size, off64_t at), LIST(int, const void *, size_t, off64_t), (file, from, size, at))
ON_FILE(ssize_t, writev, 1, (int file, const struct iovec *from, int number), LIST(int, const struct iovec *, int), (file, from, number))
ON_FILE(ssize_t, sendfile, 1, (int file, int from, off_t *at, size_t size), LIST(int, int, off_t *, size_t), (file, from, at, size))
ON_FILE(ssize_t, sendfile64, 1, (int file, int from, off64_t *at, size_t size), LIST(int, int, off64_t *, size_t), (file, from, at, size))
ON_FILE(int, fsync, 1, (int file), LIST(int), (file))
ON_FILE(int, fdatasync, 1, (int file), LIST(int), (file))
ON_FILE(int, ftruncate, 0, (int file, off_t size), LIST(int, off_t), (file, size))
ON_FILE(int, ftruncate64, 0, (int file, off64_t size), LIST(int, off64_t), (file, size))
ON_FILE(int, fchmod, 0, (int file, mode_t mode), LIST(int, mode_t), (file, mode))
ON_FILE(int, futimens, 0, (int file, const struct timespec times[2]), LIST(int, const struct timespec *), (file, times))

#define ON_PATH(name, space, parameters, types, arguments)        \
    int name parameters {                                         \
        REAL(int, #name, types)                                   \
        if (fails(#name, AT_FDCWD, path, space)) return -1;       \
        return real arguments;                                    \
    }
ON_PATH(mkdir, 1, (const char *path, mode_t mode), LIST(const char *, mode_t), (path, mode))
ON_PATH(rmdir, 0, (const char *path), LIST(const char *), (path))
ON_PATH(unlink, 0, (const char *path), LIST(const char *), (path))
ON_PATH(remove, 0, (const char *path), LIST(const char *), (path))
ON_PATH(chmod, 0, (const char *path, mode_t mode), LIST(const char *, mode_t), (path, mode))

int unlinkat(int folder, const char *path, int flags) {
    REAL(int, "unlinkat", int, const char *, int)
    return fails("unlink", folder, path, 0) ? -1 : real(folder, path, flags);
}
int mkdirat(int folder, const char *path, mode_t mode) {
    REAL(int, "mkdirat", int, const char *, mode_t)
    return fails("mkdir", folder, path, 1) ? -1 : real(folder, path, mode);
}
int utimensat(int folder, const char *path, const struct timespec times[2], int flags) {
    REAL(int, "utimensat", int, const char *, const struct timespec *, int)
    return fails("utime", folder, path, 0) ? -1 : real(folder, path, times, flags);
}
int symlink(const char *target, const char *path) {
    REAL(int, "symlink", const char *, const char *)
    return fails("symlink", AT_FDCWD, path, 1) ? -1 : real(target, path);
}
int link(const char *from, const char *path) {
    REAL(int, "link", const char *, const char *)
    if (fails("link", AT_FDCWD, path, 1)) return -1;
    int done = real(from, path);
    if (done == 0) note(AT_FDCWD, path);
    return done;
}
int rename(const char *from, const char *path) {
    REAL(int, "rename", const char *, const char *)
    if (fails("rename", AT_FDCWD, path, 0)) return -1;
    int done = real(from, path);
    if (done == 0) note(AT_FDCWD, path);
    return done;
}
int renameat(int first, const char *from, int folder, const char *path) {
    REAL(int, "renameat", int, const char *, int, const char *)
    if (fails("rename", folder, path, 0)) return -1;
    int done = real(first, from, folder, path);
    if (done == 0) note(folder, path);
    return done;
}

int clock_gettime(clockid_t clock, struct timespec *now) {
    REAL(int, "clock_gettime", clockid_t, struct timespec *)
    int done = real(clock, now);
    if (done == 0 && clock == CLOCK_REALTIME && control) now->tv_sec += (long)control->clock;
    return done;
}
int gettimeofday(struct timeval *restrict now, void *restrict zone) {
    REAL(int, "gettimeofday", struct timeval *, void *)
    int done = real(now, zone);
    if (done == 0 && control) now->tv_sec += (long)control->clock;
    return done;
}
time_t time(time_t *into) {
    REAL(time_t, "time", time_t *)
    time_t now = real(NULL) + (control ? (long)control->clock : 0);
    if (into) *into = now;
    return now;
}
