/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <sys/stat.h>

#include "basic/macro.h"
#include "busrtctl/replace-file.h"

static int write_all(int fd, const char *data, size_t len)
{
        while (len > 0) {
                ssize_t n = write(fd, data, len);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return -errno;
                data += n;
                len -= (size_t)n;
        }
        return 0;
}

/* In the same folder, since a file can only be renamed within its file system; with a dot before
 * its name and without its ending, so that nobody takes it for the file. */
static char *temporary_name(const char *path)
{
        const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
        char *temporary = NULL;

        if (asprintf(&temporary, "%.*s.%s.XXXXXX", (int)(name - path), path, name) < 0)
                return NULL;
        return temporary;
}

/* Renaming would put a file in the place of /dev/null, too. */
static bool is_replaceable(const char *path)
{
        struct stat st;

        return stat(path, &st) < 0 ? errno == ENOENT : S_ISREG(st.st_mode);
}

int replace_file(const char *path, const void *data, size_t len)
{
        _cleanup_free_ char *temporary = temporary_name(path);
        _cleanup_close_ int fd = -1;
        int r;

        if (!temporary)
                return -ENOMEM;
        if (!is_replaceable(path))
                return -EEXIST;
        fd = mkstemp(temporary);
        if (fd < 0)
                return -errno;
        r = write_all(fd, data, len);
        /* A disk may tell only now that it is full; and a rename may outlive a power cut that what
         * was written does not. */
        if (r >= 0 && (fchmod(fd, 0644) < 0 || fsync(fd) < 0 || rename(temporary, path) < 0))
                r = -errno;
        if (r < 0)
                (void)unlink(temporary);
        return r;
}
