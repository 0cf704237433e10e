/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <systemd/sd-daemon.h>

#include "basic/macro.h"
#include "busrtd/messages.h"
#include "busrtd/sockets.h"
#include "busrtd/text.h"

#define SOCKET_NAME "bus.sock"

int passed_sockets_take(struct passed_sockets *ret)
{
        char **names = NULL;
        int n = sd_listen_fds_with_names(1, &names);

        if (n < 0)
                return n;
        *ret = (struct passed_sockets){(size_t)n, names};
        return 0;
}

void passed_sockets_done(struct passed_sockets *passed)
{
        for (size_t i = 0; i < passed->n; i++)
                free(passed->names[i]);
        free(passed->names);
        *passed = (struct passed_sockets){0};
}

void sockets_init(struct sockets *s, sd_event *loop, struct engine *engine, struct report *report,
                  const struct engine_config *limits, rlim_t max_files)
{
        *s = (struct sockets){
                .listener_context = {loop, engine, report, max_files},
                .fifo_context = {loop, engine, report, &s->limits},
                .limits = *limits,
        };
}

void sockets_set_limits(struct sockets *s, const struct engine_config *limits)
{
        s->limits = *limits;
}

int sockets_foreach(const struct sockets *s,
                    int (*fn)(enum transport_kind kind, const char *name, bool inherited,
                              void *userdata),
                    void *userdata)
{
        int r = 0;

        for (size_t i = 0; i < s->n && r == 0; i++)
                r = fn(s->entries[i].kind, s->entries[i].name, s->entries[i].inherited, userdata);
        return r;
}

void sockets_done(struct sockets *s)
{
        struct listener *listener;
        struct fifo *fifo;

        while ((listener = LIST_FIRST(&s->listeners)))
                listener_free(listener);
        while ((fifo = LIST_FIRST(&s->fifos)))
                fifo_free(fifo);
        for (size_t i = 0; i < s->n; i++)
                free(s->entries[i].name);
        free(s->entries);
        s->entries = NULL;
        s->n = 0;
}

_printf_(3, 4) static int fail(char error[SOCKETS_ERROR_MAX], int r, const char *format, ...)
{
        va_list ap;

        va_start(ap, format);
        (void)vsnprintf(error, SOCKETS_ERROR_MAX, format, ap);
        va_end(ap);
        return r;
}

static int file_mode(const char *path)
{
        struct stat st;

        return lstat(path, &st) < 0 ? -1 : (int)(st.st_mode & 07777);
}

static void tell(struct sockets *s, enum transport_kind kind, const char *name, bool inherited)
{
        struct log_record record;

        message_listening(&record, kind, name, kind == TRANSPORT_TCP ? -1 : file_mode(name),
                          inherited);
        report_record(s->listener_context.report, &record);
}

static int add_entry(struct sockets *s, enum transport_kind kind, const char *name, bool inherited)
{
        struct sockets_entry *more = reallocarray(s->entries, s->n + 1, sizeof(*more));

        if (!more)
                return -ENOMEM;
        s->entries = more;
        more[s->n] = (struct sockets_entry){kind, inherited, strdup(name)};
        if (!more[s->n].name)
                return -ENOMEM;
        s->n++;
        return 0;
}

/* Takes the fd over. */
static int add(struct sockets *s, enum transport_kind kind, int fd, const char *name,
               const char *shown, struct own_file *own, bool inherited)
{
        struct listener *listener;
        struct fifo *fifo;
        int r;

        if (kind == TRANSPORT_FIFO)
                r = fifo_new(&s->fifo_context, &s->fifos, fd, name, own, &fifo);
        else
                r = listener_new(&s->listener_context, &s->listeners, kind, fd, name, own,
                                 &listener);
        if (r >= 0)
                r = add_entry(s, kind, shown, inherited);
        if (r < 0)
                return r;
        tell(s, kind, shown, inherited);
        return 0;
}

/* --- From systemd --- */

/* -EPROTONOSUPPORT: nothing that clients could come in by. */
static int passed_kind(int fd, enum transport_kind *ret)
{
        if (sd_is_fifo(fd, NULL) > 0)
                *ret = TRANSPORT_FIFO;
        else if (sd_is_socket(fd, AF_UNIX, SOCK_STREAM, 1) > 0)
                *ret = TRANSPORT_UNIX;
        else if (sd_is_socket(fd, AF_INET, SOCK_STREAM, 1) > 0 ||
                 sd_is_socket(fd, AF_INET6, SOCK_STREAM, 1) > 0)
                *ret = TRANSPORT_TCP;
        else
                return -EPROTONOSUPPORT;
        return 0;
}

static int passed_name(int fd, enum transport_kind kind, char *out, size_t size)
{
        char link[32];
        ssize_t n;

        if (kind != TRANSPORT_FIFO)
                return transport_local_name(fd, out, size);
        (void)snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
        n = readlink(link, out, size - 1);
        if (n < 0)
                return -errno;
        out[n] = '\0';
        return 0;
}

static int set_nonblocking(int fd)
{
        int flags = fcntl(fd, F_GETFL);

        return flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0 ? -errno : 0;
}

static int add_passed(struct sockets *s, int fd, const char *fd_name, char error[SOCKETS_ERROR_MAX])
{
        struct own_file none = {0};
        char name[PATH_MAX], visible[128];
        enum transport_kind kind;
        int r = passed_kind(fd, &kind);

        text_visible(fd_name, visible, sizeof(visible));
        if (r < 0)
                return fail(error, r,
                            "what systemd passed as \"%s\" is neither a listening UNIX or TCP "
                            "stream socket nor a FIFO",
                            visible);
        r = passed_name(fd, kind, name, sizeof(name));
        if (r >= 0)
                r = set_nonblocking(fd);
        if (r >= 0)
                r = add(s, kind, fd, name, name, &none, true);
        return r < 0 ? fail(error, r, "cannot use \"%s\", which systemd passed: %s", visible,
                            strerrordesc_np(-r))
                     : 0;
}

int sockets_add_passed(struct sockets *s, const struct passed_sockets *passed,
                       char error[SOCKETS_ERROR_MAX])
{
        int r = 0;

        for (size_t i = 0; i < passed->n && r >= 0; i++)
                r = add_passed(s, SD_LISTEN_FDS_START + (int)i, passed->names[i], error);
        return r;
}

/* --- Our own --- */

static int open_address(const struct transport_address *address, const char **ret_error)
{
        switch (address->kind) {
        case TRANSPORT_UNIX:
                return transport_listen_unix(address->text, 0, ret_error);
        case TRANSPORT_TCP:
                return transport_listen_tcp(address->text, ret_error);
        case TRANSPORT_FIFO:
                return transport_open_fifo(address->text, ret_error);
        case TRANSPORT_INTERNAL:
        case TRANSPORT_MEMORY:
                break;
        }
        *ret_error = NULL;
        return -EPROTONOSUPPORT;
}

/* Clients are shown the address as it was given, the log what came of it. */
static int add_opened(struct sockets *s, const struct transport_address *address, int fd)
{
        struct own_file own = {0};
        char shown[256];
        int r = 0;

        if (address->kind != TRANSPORT_TCP)
                r = own_file_claim(&own, address->text);
        if (r < 0) {
                close_fd(fd);
                return r;
        }
        if (address->kind == TRANSPORT_FIFO || transport_local_name(fd, shown, sizeof(shown)) < 0)
                (void)snprintf(shown, sizeof(shown), "%s", address->text);
        r = add(s, address->kind, fd, address->text, shown, &own, false);
        own_file_remove(&own);
        return r;
}

int sockets_add_address(struct sockets *s, const char *text, char error[SOCKETS_ERROR_MAX])
{
        struct transport_address address = {.text = text};
        const char *more = NULL;
        char visible[256];
        int r = transport_address_parse(text, &address);

        if (r >= 0)
                r = open_address(&address, &more);
        if (r >= 0)
                r = add_opened(s, &address, r);
        if (r < 0)
                return fail(error, r, "cannot %s %s: %s",
                            address.kind == TRANSPORT_FIFO ? "make FIFO" : "listen on",
                            text_visible(address.text, visible, sizeof(visible)),
                            more ? more : strerrordesc_np(-r));
        return 0;
}

static int make_directory(const char *path, mode_t mode, char error[SOCKETS_ERROR_MAX])
{
        char visible[256];

        if (mkdir(path, mode) == 0 || errno == EEXIST)
                return 0;
        return fail(error, -errno, "cannot make directory %s: %s",
                    text_visible(path, visible, sizeof(visible)), strerrordesc_np(errno));
}

int sockets_add_default(struct sockets *s, char error[SOCKETS_ERROR_MAX])
{
        const char *runtime = getenv("XDG_RUNTIME_DIR");
        bool user = runtime && runtime[0] == '/';
        char directory[PATH_MAX], path[PATH_MAX + sizeof(SOCKET_NAME)];
        struct log_record record;
        int r;

        if (!user && geteuid() != 0)
                return fail(
                        error, -ENOENT,
                        "no listener was given, and XDG_RUNTIME_DIR is not set: say -B ADDRESS");
        if (snprintf(directory, sizeof(directory), "%s/busrt", user ? runtime : "/run") >= PATH_MAX)
                return fail(error, -ENAMETOOLONG, "XDG_RUNTIME_DIR is too long");
        r = make_directory(directory, user ? 0700 : 0755, error);
        if (r < 0)
                return r;
        (void)snprintf(path, sizeof(path), "%s/" SOCKET_NAME, directory);
        message_default_socket(&record, path);
        report_record(s->listener_context.report, &record);
        return sockets_add_address(s, path, error);
}
