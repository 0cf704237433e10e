/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>

#include "basic/macro.h"
#include "busrtd/pid-file.h"

static int write_pid(int fd)
{
        return dprintf(fd, "%d\n", (int)getpid()) < 0 ? -errno : 0;
}

static int replace(const char *path)
{
        _cleanup_close_ int fd = -1;
        char temporary[PATH_MAX];
        int r;

        if (snprintf(temporary, sizeof(temporary), "%s.XXXXXX", path) >= (int)sizeof(temporary))
                return -ENAMETOOLONG;
        fd = mkostemp(temporary, O_CLOEXEC);
        if (fd < 0)
                return -errno;
        r = write_pid(fd);
        if (r >= 0 && (fchmod(fd, 0644) < 0 || rename(temporary, path) < 0))
                r = -errno;
        if (r < 0)
                (void)unlink(temporary);
        return r;
}

/* Where no file may be made beside it, or it is something else than a file. */
static int overwrite(const char *path)
{
        _cleanup_close_ int fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC | O_NOCTTY);

        return fd < 0 ? -errno : write_pid(fd);
}

int pid_file_write(const char *path, struct own_file *ret)
{
        struct stat st;
        int r;

        if (lstat(path, &st) == 0 && !S_ISREG(st.st_mode))
                return overwrite(path);
        r = replace(path);
        if ((r == -EACCES || r == -EPERM || r == -EROFS) && overwrite(path) >= 0)
                r = 0;
        return r < 0 ? r : own_file_claim(ret, path);
}
