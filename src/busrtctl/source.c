/* SPDX-License-Identifier: Apache-2.0 */
#include "busrtctl/source.h"

#include <sys/stat.h>

#include "basic/macro.h"

#define READ_SIZE ((size_t)256 * 1024)
/* No frame is longer. */
#define PAYLOAD_MAX ((size_t)UINT32_MAX)

/* Room for one more read behind what is there, which is moved to the front. */
static int make_room(struct source *source)
{
        size_t len = source->end - source->start, size = source->size;
        char *data;

        if (source->start > 0)
                memmove(source->data, source->data + source->start, len);
        source->scanned -= source->start;
        source->start = 0;
        source->end = len;
        if (size - len >= READ_SIZE)
                return 0;
        if (len > PAYLOAD_MAX)
                return -EMSGSIZE;
        size = MAX(size * 2, len + READ_SIZE);
        data = realloc(source->data, size);
        if (!data)
                return -ENOMEM;
        source->data = data;
        source->size = size;
        return 0;
}

static int read_once(struct source *source)
{
        ssize_t n;
        int r = make_room(source);

        if (r < 0)
                return r;
        n = read(source->fd, source->data + source->end, source->size - source->end);
        if (n < 0)
                return errno == EINTR || errno == EAGAIN ? 0 : -errno;
        source->end += (size_t)n;
        if (n == 0) {
                if (source->owns_fd)
                        close_fd(source->fd);
                source->fd = -1;
        }
        return 0;
}

void source_init_payload(struct source *source, char *data, size_t len, uint64_t count)
{
        *source = (struct source){.fd = -1, .data = data, .end = len, .left = count};
}

int source_init_whole(struct source *source, int fd, uint64_t count)
{
        struct stat st;

        *source = (struct source){.fd = fd, .owns_fd = fd != STDIN_FILENO, .left = count};
        /* One allocation where the size is known beforehand. */
        if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && (uint64_t)st.st_size <= PAYLOAD_MAX) {
                source->size = (size_t)st.st_size + READ_SIZE + 1;
                source->data = malloc(source->size);
                if (!source->data)
                        return -ENOMEM;
        }
        while (source->fd >= 0) {
                int r = read_once(source);

                if (r < 0)
                        return r;
        }
        return 0;
}

int source_init_lines(struct source *source, int fd, char delimiter)
{
        *source = (struct source){
                .fd = fd, .owns_fd = fd != STDIN_FILENO, .lines = true, .delimiter = delimiter};
        return 0;
}

void source_done(struct source *source)
{
        if (source->owns_fd && source->fd >= 0)
                close_fd(source->fd);
        free(source->data);
        *source = (struct source){.fd = -1};
}

static int next_copy(struct source *source, const char **ret, size_t *ret_len)
{
        if (source->left == 0)
                return -ENODATA;
        source->left--;
        *ret = source->data;
        *ret_len = source->end;
        return 1;
}

static int next_line(struct source *source, const char **ret, size_t *ret_len)
{
        const char *line = source->data + source->start, *end = NULL;

        if (source->end > source->scanned)
                end = memchr(source->data + source->scanned, source->delimiter,
                             source->end - source->scanned);
        if (end) {
                *ret = line;
                *ret_len = (size_t)(end - line);
                source->start = source->scanned = (size_t)(end + 1 - source->data);
                return 1;
        }
        source->scanned = source->end;
        if (source->fd >= 0)
                return 0;
        if (source->start == source->end)
                return -ENODATA;
        *ret = line;
        *ret_len = source->end - source->start;
        source->start = source->end;
        return 1;
}

int source_next(struct source *source, const char **ret, size_t *ret_len)
{
        return source->lines ? next_line(source, ret, ret_len) : next_copy(source, ret, ret_len);
}

int source_fill(struct source *source)
{
        return read_once(source);
}
