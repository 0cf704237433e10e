/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <sys/stat.h>

#include "basic/macro.h"
#include "busrtd/own-file.h"

int own_file_claim(struct own_file *file, const char *path)
{
        _cleanup_close_ int fd = open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
        char *copy;

        if (fd < 0)
                return -errno;
        copy = strdup(path);
        if (!copy)
                return -ENOMEM;
        *file = (struct own_file){copy, TAKE_FD(fd)};
        return 0;
}

static bool is_still_there(const struct own_file *file)
{
        struct stat ours, there;

        return fstat(file->fd, &ours) == 0 && lstat(file->path, &there) == 0 &&
               ours.st_dev == there.st_dev && ours.st_ino == there.st_ino;
}

void own_file_remove(struct own_file *file)
{
        if (!file->path)
                return;
        if (is_still_there(file))
                (void)unlink(file->path);
        close_fd(file->fd);
        free(file->path);
        *file = (struct own_file){0};
}
