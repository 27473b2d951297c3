/* A disk and a calendar that fail on command: loaded before libc into the real binary by the tests beside it
 * (LD_PRELOAD). It stands between the process and the kernel for calls on files of one database, and for the calendar.
 * It must never change a call on any other file, and never invent a success.
 *
 * A page of memory shared with the test (FAULTS_PAGE) steers it while the process runs; page.rs names its places in
 * the same order. With FAULTS_TRACE it writes down, in their order, every write, truncation, sync and deletion of a
 * database file and every call to WeChat, from which trace.rs makes the disk as a loss of power would leave it.
 *
 * Calls go to the kernel by syscall(2), so that nothing has to be looked up before main() runs. Linux alone. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum { DATABASE = 1, LOG = 2, INDEX = 4, JOURNAL = 8 };

/* A kind of call that can fail: with `error`, from the `from`-th call on (1 is the next), `times` times. `seen` counts
 * calls since the test set it to zero, `failed` those that were refused. */
struct fault {
    int64_t error, from, times, files, seen, failed;
};

/* The page. A write fault with `torn` leaves half of its bytes behind, as a disk does that fills up in mid-write. */
struct page {
    struct fault write, sync, open;
    int64_t torn;
    int64_t calendar_shift; /* seconds */
    int64_t die_at;         /* dies before this many further changes, 0: never */
    int64_t changes;
};

/* The head of a line of the trace; `length` bytes follow. */
struct line {
    uint32_t kind, file;
    int64_t at;
    uint64_t length;
};

enum { WRITE = 1, TRUNCATE, SYNC_BEGINS, SYNC_DONE, SYNC_FAILED, DELETED, CALL };

enum { FDS = 65536, CALL_BYTES = 4096 };

static struct page *page;
static int trace = -1;
static uint8_t file_of[FDS];
static int64_t syncs;

__attribute__((constructor)) static void begin(void) {
    const char *path = getenv("FAULTS_PAGE");
    int fd = path ? (int)syscall(SYS_openat, AT_FDCWD, path, O_RDWR | O_CLOEXEC, 0) : -1;
    if (fd >= 0) {
        void *at = mmap(NULL, sizeof *page, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        page = at == MAP_FAILED ? NULL : at;
        syscall(SYS_close, fd);
    }
    if ((path = getenv("FAULTS_TRACE")))
        trace = (int)syscall(SYS_openat, AT_FDCWD, path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
}

static uint8_t file_named(const char *path) {
    static const struct { const char *end; uint8_t file; } ENDS[] = {
        {".db", DATABASE}, {".db-wal", LOG}, {".db-shm", INDEX}, {".db-journal", JOURNAL}};
    size_t length = strlen(path);
    for (size_t i = 0; i < sizeof ENDS / sizeof *ENDS; i++) {
        size_t end = strlen(ENDS[i].end);
        if (length > end && !strcmp(path + length - end, ENDS[i].end)) return ENDS[i].file;
    }
    return 0;
}

static uint8_t file_at(int fd) { return fd >= 0 && fd < FDS && page ? file_of[fd] : 0; }

/* One writev on a file opened to append: lines of several threads and processes never mix. */
static void note(uint32_t kind, uint8_t file, int64_t at, const void *bytes, size_t length) {
    if (trace < 0 || file == INDEX) return;
    struct line head = {kind, file, at, length};
    struct iovec parts[2] = {{&head, sizeof head}, {(void *)bytes, length}};
    if (syscall(SYS_writev, trace, parts, 2) != (long)(sizeof head + length)) abort();
}

static int refused(struct fault *fault, uint8_t file) {
    int64_t error = __atomic_load_n(&fault->error, __ATOMIC_ACQUIRE);
    if (!error || !(fault->files & file)) return 0;
    int64_t seen = __atomic_add_fetch(&fault->seen, 1, __ATOMIC_ACQ_REL);
    if (seen < fault->from || seen >= fault->from + fault->times) return 0;
    __atomic_add_fetch(&fault->failed, 1, __ATOMIC_ACQ_REL);
    errno = (int)error;
    return 1;
}

/* Every change of a database file is a place to die. */
static void live_or_die(uint8_t file) {
    if (file == INDEX) return;
    int64_t die_at = __atomic_load_n(&page->die_at, __ATOMIC_ACQUIRE);
    if (die_at && __atomic_add_fetch(&page->changes, 1, __ATOMIC_ACQ_REL) >= die_at) {
        syscall(SYS_kill, syscall(SYS_getpid), SIGKILL);
        for (;;) syscall(SYS_sched_yield);
    }
}

static int opened(int folder, const char *path, int flags, mode_t mode) {
    uint8_t file = page ? file_named(path) : 0;
    if (file && (flags & (O_WRONLY | O_RDWR)) && refused(&page->open, file)) return -1;
    int fd = (int)syscall(SYS_openat, folder, path, flags, mode);
    if (fd >= 0 && fd < FDS) file_of[fd] = file;
    return fd;
}

#define MODE(flags, mode)                        \
    mode_t mode = 0;                             \
    if ((flags) & (O_CREAT | O_TMPFILE)) {       \
        va_list more;                            \
        va_start(more, flags);                   \
        mode = (mode_t)va_arg(more, unsigned);   \
        va_end(more);                            \
    }

int open(const char *path, int flags, ...) {
    MODE(flags, mode)
    return opened(AT_FDCWD, path, flags, mode);
}

int open64(const char *path, int flags, ...) {
    MODE(flags, mode)
    return opened(AT_FDCWD, path, flags | O_LARGEFILE, mode);
}

int openat64(int folder, const char *path, int flags, ...) {
    MODE(flags, mode)
    return opened(folder, path, flags | O_LARGEFILE, mode);
}

int close(int fd) {
    if (fd >= 0 && fd < FDS) file_of[fd] = 0;
    return (int)syscall(SYS_close, fd);
}

ssize_t pwrite64(int fd, const void *bytes, size_t length, off64_t at) {
    uint8_t file = file_at(fd);
    if (!file) return syscall(SYS_pwrite64, fd, bytes, length, at);
    live_or_die(file);
    if (refused(&page->write, file)) {
        int error = errno;
        if (page->torn) {
            note(WRITE, file, at, bytes, length / 2);
            syscall(SYS_pwrite64, fd, bytes, length / 2, at);
        }
        errno = error;
        return -1;
    }
    note(WRITE, file, at, bytes, length);
    return syscall(SYS_pwrite64, fd, bytes, length, at);
}

ssize_t pwrite(int fd, const void *bytes, size_t length, off_t at) { return pwrite64(fd, bytes, length, at); }

int ftruncate64(int fd, off64_t length) {
    uint8_t file = file_at(fd);
    if (file) {
        live_or_die(file);
        if (refused(&page->write, file)) return -1;
        note(TRUNCATE, file, length, NULL, 0);
    }
    return (int)syscall(SYS_ftruncate, fd, length);
}

int ftruncate(int fd, off_t length) { return ftruncate64(fd, length); }

/* A refused sync still reaches for the disk in neither way: what it was to make durable is lost or not, by chance. */
static int synced(int fd, long call) {
    uint8_t file = file_at(fd);
    if (!file) return (int)syscall(call, fd);
    live_or_die(file);
    if (refused(&page->sync, file)) {
        note(SYNC_FAILED, file, 0, NULL, 0);
        errno = (int)page->sync.error;
        return -1;
    }
    int64_t id = (int64_t)syscall(SYS_getpid) << 32 | __atomic_add_fetch(&syncs, 1, __ATOMIC_ACQ_REL);
    note(SYNC_BEGINS, file, id, NULL, 0);
    int done = (int)syscall(call, fd);
    if (!done) note(SYNC_DONE, file, id, NULL, 0);
    return done;
}

int fsync(int fd) { return synced(fd, SYS_fsync); }

int fdatasync(int fd) { return synced(fd, SYS_fdatasync); }

int unlink(const char *path) {
    uint8_t file = page ? file_named(path) : 0;
    if (file) live_or_die(file);
    int done = (int)syscall(SYS_unlinkat, AT_FDCWD, path, 0);
    if (file && !done) note(DELETED, file, 0, NULL, 0);
    return done;
}

/* A call with an effect begins to leave: what must be on disk by now? */
static void note_call(const struct iovec *parts, int count) {
    static const char POST[] = "POST ";
    if (trace < 0 || count < 1 || parts[0].iov_len < sizeof POST || memcmp(parts[0].iov_base, POST, 5)) return;
    char bytes[CALL_BYTES];
    size_t length = 0;
    for (int i = 0; i < count; i++) {
        size_t room = sizeof bytes - length, some = parts[i].iov_len < room ? parts[i].iov_len : room;
        memcpy(bytes + length, parts[i].iov_base, some);
        length += some;
    }
    note(CALL, 0, 0, bytes, length);
}

ssize_t send(int fd, const void *bytes, size_t length, int flags) {
    struct iovec whole = {(void *)bytes, length};
    note_call(&whole, 1);
    return syscall(SYS_sendto, fd, bytes, length, flags, NULL, 0);
}

ssize_t writev(int fd, const struct iovec *parts, int count) {
    note_call(parts, count);
    return syscall(SYS_writev, fd, parts, count);
}

int clock_gettime(clockid_t clock, struct timespec *now) {
    int done = (int)syscall(SYS_clock_gettime, clock, now);
    if (!done && page && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
        now->tv_sec += __atomic_load_n(&page->calendar_shift, __ATOMIC_ACQUIRE);
    return done;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone) {
    (void)zone;
    struct timespec exact;
    if (clock_gettime(CLOCK_REALTIME, &exact)) return -1;
    now->tv_sec = exact.tv_sec;
    now->tv_usec = exact.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *out) {
    struct timespec exact;
    if (clock_gettime(CLOCK_REALTIME, &exact)) return -1;
    if (out) *out = exact.tv_sec;
    return exact.tv_sec;
}
