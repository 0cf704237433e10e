/* SPDX-License-Identifier: Apache-2.0 */
/* Which files count, as for systemd's own: folders in order, drop-ins by name. */
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "basic/macro.h"
#include "config/config.h"

#define SUFFIX ".conf"

struct drop_ins {
        char **paths;
        size_t n;
};

static void drop_ins_done(struct drop_ins *d)
{
        for (size_t i = 0; i < d->n; i++)
                free(d->paths[i]);
        free(d->paths);
}

static void dir_closep(DIR **dir)
{
        if (*dir)
                (void)closedir(*dir);
}

static int complain(struct config *config, char error[CONFIG_ERROR_MAX], const char *path, int r)
{
        config->failed_at = (struct config_place){.line = 0};
        (void)snprintf(config->failed_at.file, sizeof(config->failed_at.file), "%s", path);
        (void)snprintf(error, CONFIG_ERROR_MAX, "%.256s: %s", path,
                       r == -EFBIG    ? "larger than a configuration file may be (1 MiB)"
                       : r == -EBADFD ? "not a regular file"
                                      : strerrordesc_np(-r));
        return r;
}

static bool is_null_device(const struct stat *st)
{
        return S_ISCHR(st->st_mode) && st->st_rdev == makedev(1, 3);
}

static int read_whole(int fd, char **ret, size_t *ret_len)
{
        _cleanup_free_ char *text = malloc(CONFIG_FILE_MAX + 1);
        size_t len = 0;
        ssize_t n;

        if (!text)
                return -ENOMEM;
        while ((n = read(fd, text + len, CONFIG_FILE_MAX + 1 - len)) > 0)
                len += (size_t)n;
        if (n < 0)
                return -errno;
        if (len > CONFIG_FILE_MAX)
                return -EFBIG;
        *ret = TAKE_PTR(text);
        *ret_len = len;
        return 0;
}

/* -ENOENT without a line in error: there is none. */
static int add_path(struct config *config, const char *path, char error[CONFIG_ERROR_MAX])
{
        _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
        _cleanup_free_ char *text = NULL;
        struct stat st;
        size_t len = 0;
        int r = 0;

        error[0] = '\0';
        if (fd < 0 && (errno == ENOENT || errno == ENOTDIR))
                return -ENOENT;
        if (fd < 0 || fstat(fd, &st) < 0)
                return complain(config, error, path, -errno);
        if (is_null_device(&st))
                return config_add_text(config, path, "", 0, error);
        r = S_ISREG(st.st_mode) ? read_whole(fd, &text, &len) : -EBADFD;
        if (r < 0)
                return complain(config, error, path, r);
        return config_add_text(config, path, text, len, error);
}

static const char *base_name(const char *path)
{
        return strrchr(path, '/') + 1;
}

static bool has_name(const struct drop_ins *d, const char *name)
{
        for (size_t i = 0; i < d->n; i++)
                if (strcmp(base_name(d->paths[i]), name) == 0)
                        return true;
        return false;
}

static bool is_drop_in(const char *name)
{
        size_t len = strlen(name);

        return name[0] != '.' && len > strlen(SUFFIX) &&
               strcmp(name + len - strlen(SUFFIX), SUFFIX) == 0;
}

static int add_drop_in(struct drop_ins *d, const char *folder, const char *name)
{
        char **more = reallocarray(d->paths, d->n + 1, sizeof(char *));

        if (!more)
                return -ENOMEM;
        d->paths = more;
        if (asprintf(&more[d->n], "%s/%s", folder, name) < 0)
                return -ENOMEM;
        d->n++;
        return 0;
}

static int list_folder(struct config *config, struct drop_ins *d, const char *folder,
                       char error[CONFIG_ERROR_MAX])
{
        _cleanup_(dir_closep) DIR *dir = opendir(folder);
        struct dirent *entry;
        int r = 0;

        if (!dir)
                return errno == ENOENT || errno == ENOTDIR
                               ? 0
                               : complain(config, error, folder, -errno);
        while (errno = 0, r >= 0 && (entry = readdir(dir)))
                if (is_drop_in(entry->d_name) && !has_name(d, entry->d_name))
                        r = add_drop_in(d, folder, entry->d_name);
        if (r >= 0 && errno)
                return complain(config, error, folder, -errno);
        return r;
}

static int by_name(const void *a, const void *b)
{
        return strcmp(base_name(*(char *const *)a), base_name(*(char *const *)b));
}

static int add_drop_ins(struct config *config, struct drop_ins *d, char error[CONFIG_ERROR_MAX])
{
        int r = 0;

        if (d->n)
                qsort(d->paths, d->n, sizeof(*d->paths), by_name);
        for (size_t i = 0; i < d->n && r >= 0; i++) {
                r = add_path(config, d->paths[i], error);
                if (r == -ENOENT) /* a link to nowhere, or removed meanwhile */
                        r = complain(config, error, d->paths[i], r);
        }
        return r;
}

static int join(struct config *config, char out[PATH_MAX], const char *folder, const char *name,
                const char *suffix, char error[CONFIG_ERROR_MAX])
{
        if (snprintf(out, PATH_MAX, "%s%s%s", folder, name, suffix) >= PATH_MAX)
                return complain(config, error, name, -ENAMETOOLONG);
        return 0;
}

int config_read_drop_ins(struct config *config, const char *const *folders, size_t n_folders,
                         char error[CONFIG_ERROR_MAX])
{
        _cleanup_(drop_ins_done) struct drop_ins d = {0};
        int r = 0;

        error[0] = '\0';
        for (size_t i = 0; i < n_folders && r >= 0; i++)
                r = list_folder(config, &d, folders[i], error);
        return r < 0 ? r : add_drop_ins(config, &d, error);
}

int config_read_one(struct config *config, const char *path, char error[CONFIG_ERROR_MAX])
{
        int r = add_path(config, path, error);

        return r == -ENOENT ? complain(config, error, path, r) : r;
}

int config_read_file(struct config *config, const char *path, char error[CONFIG_ERROR_MAX])
{
        char folder[PATH_MAX];
        int r = config_read_one(config, path, error);

        if (r >= 0)
                r = join(config, folder, path, "", ".d", error);
        return r < 0 ? r : config_read_drop_ins(config, (const char *[]){folder}, 1, error);
}

int config_read_folders(struct config *config, const char *const *folders, size_t n_folders,
                        const char *name, char error[CONFIG_ERROR_MAX])
{
        _cleanup_(drop_ins_done) struct drop_ins d = {0};
        char path[PATH_MAX];
        int r = -ENOENT;

        error[0] = '\0';
        for (size_t i = 0; i < n_folders && r == -ENOENT; i++) {
                r = join(config, path, folders[i], "/", name, error);
                if (r >= 0)
                        r = add_path(config, path, error);
        }
        if (r == -ENOENT)
                r = 0;
        for (size_t i = 0; i < n_folders && r >= 0; i++) {
                char folder[PATH_MAX];

                if (join(config, path, folders[i], "/", name, error) < 0 ||
                    join(config, folder, path, "", ".d", error) < 0)
                        return -ENAMETOOLONG;
                r = list_folder(config, &d, folder, error);
        }
        return r < 0 ? r : add_drop_ins(config, &d, error);
}
