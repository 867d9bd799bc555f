/* Records, in order, the writes of a process to the files of one directory, its syncs, and its output; fails writes and
 * syncs on demand. Loaded with LD_PRELOAD, see `disk.rs`.
 *
 * A record: the operation, the lengths of name and data, an offset, the name, the data; numbers in this machine's byte order.
 * On demand: each line of the file DISK_FAULT has an operation (`write` or `sync`), an error number and a count, -1 for ever. The
 * first line with a count counts: the next one follows when its operation has failed as often. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static const char *directory, *fault;
static int trace = -1;

static ssize_t (*real_write)(int, const void *, size_t);
static ssize_t (*real_pwrite)(int, const void *, size_t, off64_t);
static int (*real_ftruncate)(int, off64_t);
static int (*real_fsync)(int);
static int (*real_fdatasync)(int);
static int (*real_unlink)(const char *);
static int (*real_open)(const char *, int, ...);

__attribute__((constructor)) static void begin(void) {
    directory = getenv("DISK_DIRECTORY");
    fault = getenv("DISK_FAULT");
    const char *path = getenv("DISK_TRACE");
    real_write = dlsym(RTLD_NEXT, "write");
    real_pwrite = dlsym(RTLD_NEXT, "pwrite64");
    real_ftruncate = dlsym(RTLD_NEXT, "ftruncate64");
    real_fsync = dlsym(RTLD_NEXT, "fsync");
    real_fdatasync = dlsym(RTLD_NEXT, "fdatasync");
    real_unlink = dlsym(RTLD_NEXT, "unlink");
    real_open = dlsym(RTLD_NEXT, "open64");
    if (directory && path) trace = real_open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
}

static void record(char operation, const char *name, uint64_t offset, const void *data, size_t size) {
    struct { uint64_t operation, name, size, offset; } head = {operation, strlen(name), size, offset};
    struct iovec parts[] = {{&head, sizeof head}, {(void *)name, head.name}, {(void *)data, size}};
    if (writev(trace, parts, 3) != (ssize_t)(sizeof head + head.name + size)) abort();
}

/* The name of a file of the directory (`.`: of the directory itself), or none. The content of a -shm file is never kept. */
static const char *name_of(const char *path) {
    size_t length = strlen(directory), all = strlen(path);
    if (strncmp(path, directory, length)) return NULL;
    if (!path[length]) return ".";
    if (path[length] != '/' || strncmp(path + length + 1, "store", 5)) return NULL;
    if (path[all - 1] == ')' || (all > 4 && !strcmp(path + all - 4, "-shm"))) return NULL;
    return path + length + 1;
}

static const char *name_of_file(int file, char *path, size_t size) {
    if (trace < 0) return NULL;
    char link[32];
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t length = readlink(link, path, size - 1);
    if (length < 0) return NULL;
    path[length] = 0;
    return name_of(path);
}

/* The length of a line of DISK_FAULT. */
#define LINE 24

/* Returns the error for this operation on the log's -wal file, or 0. */
static int error_of(const char *operation, const char *name) {
    if (!fault || strcmp(name, "store.db-wal")) return 0;
    int file = real_open(fault, O_RDWR | O_CLOEXEC);
    if (file < 0) return 0;
    int error = 0;
    for (off64_t at = 0;; at += LINE) {
        char text[64] = {0}, wanted[16] = {0};
        int times = 0;
        error = 0;
        if (syscall(SYS_pread64, file, text, LINE, at) <= 0) break;
        sscanf(text, "%15s %d %d", wanted, &error, &times);
        if (times == 0) continue;
        if (strcmp(wanted, operation)) error = 0;
        if (error && times > 0) {
            snprintf(text, sizeof text, "%-8s%8d%7d\n", operation, error, times - 1);
            if (syscall(SYS_pwrite64, file, text, LINE, at) < 0) abort();
        }
        break;
    }
    close(file);
    return error;
}

static ssize_t put(int file, const void *data, size_t size, off64_t at, int seek) {
    char path[4096];
    const char *name = name_of_file(file, path, sizeof path);
    if (!name) {
        if (trace >= 0 && file == 1) {
            pthread_mutex_lock(&lock);
            record('A', "", 0, data, size);
            pthread_mutex_unlock(&lock);
        }
        return seek ? real_write(file, data, size) : real_pwrite(file, data, size, at);
    }
    pthread_mutex_lock(&lock);
    if (seek) at = lseek(file, 0, SEEK_CUR);
    int error = error_of("write", name);
    /* A failed write leaves a part of its data. */
    ssize_t done = error ? real_pwrite(file, data, size / 2, at)
                         : seek ? real_write(file, data, size) : real_pwrite(file, data, size, at);
    if (done > 0) record('W', name, at, data, done);
    pthread_mutex_unlock(&lock);
    if (error) {
        errno = error;
        return -1;
    }
    return done;
}

ssize_t write(int file, const void *data, size_t size) { return put(file, data, size, 0, 1); }
ssize_t pwrite(int file, const void *data, size_t size, off_t at) { return put(file, data, size, at, 0); }
ssize_t pwrite64(int file, const void *data, size_t size, off64_t at) { return put(file, data, size, at, 0); }

/* A name exists from the creation of its file, before any write. */
static int made(int file, int flags) {
    char path[4096];
    const char *name = file < 0 || !(flags & O_CREAT) ? NULL : name_of_file(file, path, sizeof path);
    if (name && lseek(file, 0, SEEK_END) == 0) {
        pthread_mutex_lock(&lock);
        record('W', name, 0, NULL, 0);
        pthread_mutex_unlock(&lock);
    }
    if (name) lseek(file, 0, SEEK_SET);
    return file;
}

int open64(const char *path, int flags, ...) {
    va_list more;
    va_start(more, flags);
    mode_t mode = flags & O_CREAT ? va_arg(more, mode_t) : 0;
    va_end(more);
    return made(real_open(path, flags, mode), flags);
}

int open(const char *path, int flags, ...) {
    va_list more;
    va_start(more, flags);
    mode_t mode = flags & O_CREAT ? va_arg(more, mode_t) : 0;
    va_end(more);
    return made(real_open(path, flags, mode), flags);
}

static int sync_file(int file, int (*real)(int)) {
    char path[4096];
    const char *name = name_of_file(file, path, sizeof path);
    if (!name) return real(file);
    pthread_mutex_lock(&lock);
    int error = error_of("sync", name), done = error ? -1 : real(file);
    record(done ? 'F' : 'S', name, 0, NULL, 0);
    pthread_mutex_unlock(&lock);
    if (error) errno = error;
    return done;
}

int fsync(int file) { return sync_file(file, real_fsync); }
int fdatasync(int file) { return sync_file(file, real_fdatasync); }

static int cut(int file, off64_t size) {
    char path[4096];
    const char *name = name_of_file(file, path, sizeof path);
    if (!name) return real_ftruncate(file, size);
    pthread_mutex_lock(&lock);
    int done = real_ftruncate(file, size);
    if (!done) record('T', name, size, NULL, 0);
    pthread_mutex_unlock(&lock);
    return done;
}

int ftruncate(int file, off_t size) { return cut(file, size); }
int ftruncate64(int file, off64_t size) { return cut(file, size); }

int unlink(const char *path) {
    const char *name = trace < 0 ? NULL : name_of(path);
    if (!name) return real_unlink(path);
    pthread_mutex_lock(&lock);
    int done = real_unlink(path);
    if (!done) record('U', name, 0, NULL, 0);
    pthread_mutex_unlock(&lock);
    return done;
}
