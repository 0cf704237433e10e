/* SPDX-License-Identifier: Apache-2.0 */
#include "basic/macro.h"
#include "busrtd/own-file.h"

int own_file_claim(struct own_file *file, const char *path)
{
        struct stat st;
        char *copy;

        if (lstat(path, &st) < 0)
                return -errno;
        copy = strdup(path);
        if (!copy)
                return -ENOMEM;
        *file = (struct own_file){copy, st.st_dev, st.st_ino};
        return 0;
}

void own_file_remove(struct own_file *file)
{
        struct stat st;

        if (file->path && lstat(file->path, &st) == 0 && st.st_dev == file->device &&
            st.st_ino == file->inode)
                (void)unlink(file->path);
        free(file->path);
        file->path = NULL;
}
