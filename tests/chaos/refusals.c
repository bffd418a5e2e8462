/* Refuses calls of the system below the folder CHAOS_BELOW, as mounted buckets do. CHAOS_REFUSED names which:
   files, folders (renaming them), flock, fsync, link. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define NEXT(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

static int below(const char *path) {
    const char *folder = getenv("CHAOS_BELOW");
    char whole[2 * PATH_MAX], here[PATH_MAX];
    if (!folder) return 0;
    if (path[0] == '/')
        return !strncmp(path, folder, strlen(folder));
    if (!getcwd(here, sizeof here)) return 0;
    snprintf(whole, sizeof whole, "%s/%s", here, path);
    return !strncmp(whole, folder, strlen(folder));
}

static int refused(const char *operation) {
    const char *all = getenv("CHAOS_REFUSED");
    return all && strstr(all, operation);
}

static int refused_of(const char *operation, int descriptor) {
    char link[64], path[PATH_MAX];
    ssize_t length;
    if (!refused(operation)) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
    length = readlink(link, path, sizeof path - 1);
    if (length < 0) return 0;
    path[length] = 0;
    return below(path);
}

static int renames(const char *path) {
    struct stat found;
    if (!below(path) || lstat(path, &found)) return 0;
    if (S_ISDIR(found.st_mode)) return refused("folders") ? EMFILE : 0;
    return refused("files") ? ENOSYS : 0;
}

int rename(const char *from, const char *to) {
    int number = renames(from);
    if (number) { errno = number; return -1; }
    return NEXT(rename)(from, to);
}

int renameat(int one, const char *from, int other, const char *to) {
    int number = renames(from);
    if (number) { errno = number; return -1; }
    return NEXT(renameat)(one, from, other, to);
}

int renameat2(int one, const char *from, int other, const char *to, unsigned flags) {
    int number = renames(from);
    if (number) { errno = number; return -1; }
    return NEXT(renameat2)(one, from, other, to, flags);
}

int link(const char *from, const char *to) {
    if (refused("link") && below(to)) { errno = EPERM; return -1; }
    return NEXT(link)(from, to);
}

int linkat(int one, const char *from, int other, const char *to, int flags) {
    if (refused("link") && below(to)) { errno = EPERM; return -1; }
    return NEXT(linkat)(one, from, other, to, flags);
}

int flock(int descriptor, int operation) {
    if (refused_of("flock", descriptor)) { errno = ENOLCK; return -1; }
    return ((int (*)(int, int))dlsym(RTLD_NEXT, "flock"))(descriptor, operation);
}

int fsync(int descriptor) {
    if (refused_of("fsync", descriptor)) { errno = EINVAL; return -1; }
    return NEXT(fsync)(descriptor);
}

int fdatasync(int descriptor) {
    if (refused_of("fsync", descriptor)) { errno = EINVAL; return -1; }
    return NEXT(fdatasync)(descriptor);
}
