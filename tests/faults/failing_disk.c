/* A disk that fails, for LD_PRELOAD: what SQLite writes reaches it only by a sync that succeeds.
 *
 * Files named journal.db and journal.db-wal in FAILING_DISK_FILES are kept a second time in FAILING_DISK: as they would
 * be found after a loss of power. A sync that fails forgets what was to be written, as Linux does, so that a later one
 * succeeds without it: https://wiki.postgresql.org/wiki/Fsync_Errors. Which pages are still to be written is kept in
 * files too, since the kernel's cache outlives a process that is killed.
 *
 * While there is a file of that name in FAILING_DISK, "fail-sync" and "fail-write" make those calls fail with EIO, and
 * "full" makes writes fail with ENOSPC. "hold-sync" makes a sync wait, which tells so by a file "held".
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PAGE 4096

static pthread_mutex_t one_at_a_time = PTHREAD_MUTEX_INITIALIZER;

static ssize_t real_pwrite(int fd, const void *data, size_t size, off_t offset) {
    static ssize_t (*next)(int, const void *, size_t, off_t);
    if (!next) next = dlsym(RTLD_NEXT, "pwrite64");
    return next(fd, data, size, offset);
}

static int fails(const char *how) {
    char name[4200];
    snprintf(name, sizeof name, "%s/%s", getenv("FAILING_DISK"), how);
    return access(name, F_OK) == 0;
}

/* The file's name on the disk, if it is one of those that are kept there. */
static int is_kept(const char *path, char *kept) {
    const char *files = getenv("FAILING_DISK_FILES"), *disk = getenv("FAILING_DISK");
    size_t length = files ? strlen(files) : 0;
    if (!disk || !length || strncmp(path, files, length) || path[length] != '/') return 0;
    const char *name = path + length + 1;
    if (strcmp(name, "journal.db") && strcmp(name, "journal.db-wal")) return 0;
    snprintf(kept, 4200, "%s/%s", disk, name);
    return 1;
}

static int is_open_kept(int fd, char *kept) {
    char link[64], path[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0) return 0;
    path[length] = 0;
    return is_kept(path, kept);
}

static int opened(const char *kept, const char *suffix) {
    char name[4300];
    snprintf(name, sizeof name, "%s%s", kept, suffix);
    return open(name, O_RDWR | O_CREAT, 0600);
}

ssize_t pwrite64(int fd, const void *data, size_t size, off_t offset) {
    char kept[4200];
    if (!is_open_kept(fd, kept)) return real_pwrite(fd, data, size, offset);
    if (fails("fail-write")) return errno = EIO, -1;
    if (fails("full")) return errno = ENOSPC, -1;
    pthread_mutex_lock(&one_at_a_time);
    ssize_t written = real_pwrite(fd, data, size, offset);
    int waiting = opened(kept, ".waiting");
    for (off_t page = offset / PAGE; written > 0 && page <= (offset + written - 1) / PAGE; page++)
        real_pwrite(waiting, "\1", 1, page);
    close(waiting);
    pthread_mutex_unlock(&one_at_a_time);
    return written;
}

static int sync_kept(int fd, const char *kept) {
    int failed = fails("fail-sync");
    int waiting = opened(kept, ".waiting"), disk = opened(kept, "");
    struct stat status;
    char is_waiting, page[PAGE];
    for (off_t number = 0; pread(waiting, &is_waiting, 1, number) == 1; number++) {
        if (!is_waiting) continue;
        ssize_t size = failed ? 0 : pread(fd, page, PAGE, number * PAGE);
        if (size > 0) real_pwrite(disk, page, size, number * PAGE);
    }
    int ignored = ftruncate(waiting, 0);
    if (!failed && fstat(fd, &status) == 0) ignored = ftruncate(disk, status.st_size);
    (void)ignored;
    close(waiting);
    close(disk);
    return failed ? (errno = EIO, -1) : 0;
}

int fdatasync(int fd) {
    static int (*next)(int);
    char kept[4200];
    if (!next) next = dlsym(RTLD_NEXT, "fdatasync");
    if (!is_open_kept(fd, kept)) return next(fd);
    while (fails("hold-sync")) {
        char held[4200];
        snprintf(held, sizeof held, "%s/held", getenv("FAILING_DISK"));
        close(open(held, O_WRONLY | O_CREAT, 0600));
        usleep(1000);
    }
    pthread_mutex_lock(&one_at_a_time);
    int result = sync_kept(fd, kept);
    pthread_mutex_unlock(&one_at_a_time);
    return result;
}

int fsync(int fd) { return fdatasync(fd); }

int unlink(const char *path) {
    static int (*next)(const char *);
    char kept[4200], waiting[4300];
    if (!next) next = dlsym(RTLD_NEXT, "unlink");
    if (is_kept(path, kept)) {
        snprintf(waiting, sizeof waiting, "%s.waiting", kept);
        next(kept);
        next(waiting);
    }
    return next(path);
}
