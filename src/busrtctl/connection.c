/* SPDX-License-Identifier: Apache-2.0 */
/* Finding the broker, and what to do when that fails: every message names the next step. */
#include <ctype.h>
#include <grp.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>

#include "basic/macro.h"
#include "busrtctl/busrtctl.h"
#include "busrtctl/text.h"

#define NAME_TRIES 8

int fail(int error, const char *format, ...)
{
        _cleanup_free_ char *what = NULL, *visible = NULL;
        va_list args;

        va_start(args, format);
        if (vasprintf(&what, format, args) < 0)
                what = NULL;
        va_end(args);
        visible = what ? text_visible(what) : NULL;
        error = error < 0 ? -error : error;
        (void)fprintf(stderr, "busrtctl: %s%s%s\n", visible ? visible : "no memory",
                      error ? ": " : "", error ? busrt_strerror(error) : "");
        if (error == EHOSTUNREACH)
                (void)fputs("\"busrtctl clients\" lists who is there.\n", stderr);
        else if (error == EACCES)
                (void)fputs("The broker's access rules do not allow it: its log says which, and so "
                            "does\n"
                            "\"busrtctl access explain\".\n",
                            stderr);
        else if (error == ECONNRESET)
                (void)fputs("The broker closed the connection: its log says why (journalctl -u "
                            "busrtd).\n",
                            stderr);
        return EXIT_FAILURE;
}

/* Of topics and masks, as busrtd has them unless told otherwise. */
#define TOPIC_LENGTH_MAX 4096
#define TOPIC_PARTS_MAX 128
#define TEXT_SHOWN 60

int fail_about(int error, const char *what, const char *text)
{
        size_t len = strlen(text), parts = 1, shown = len;

        for (const char *p = text; *p; p++)
                parts += *p == '/';
        if (len > TEXT_SHOWN)
                for (shown = TEXT_SHOWN; shown > 0 && (text[shown] & 0xc0) == 0x80;)
                        shown--;
        (void)fail(error, "%s \"%.*s%s\"", what, (int)shown, text, shown < len ? "…" : "");
        if (error != -EBADMSG)
                return EXIT_FAILURE;
        if (len > TOPIC_LENGTH_MAX)
                (void)fprintf(stderr,
                              "It is %zu bytes long: the broker's limit is %d, unless busrtd "
                              "--max-topic-length says otherwise.\n",
                              len, TOPIC_LENGTH_MAX);
        else if (parts > TOPIC_PARTS_MAX)
                (void)fprintf(stderr,
                              "It has %zu parts: the broker's limit is %d, unless busrtd "
                              "--max-topic-parts says otherwise.\n",
                              parts, TOPIC_PARTS_MAX);
        else
                (void)fputs("It is not UTF-8, or over a limit of the broker's: its log says "
                            "which.\n",
                            stderr);
        return EXIT_FAILURE;
}

/* --- This client's name --- */

/* busrtctl.HOST.PID, and a number behind it where that is taken, as it may be by a process of
 * another container. A name's parts are divided by dots, so that the host gives its first part
 * alone. */
static char *own_name(unsigned try)
{
        char host[256] = "";
        char *name = NULL;
        int r;

        (void)gethostname(host, sizeof(host) - 1);
        host[strcspn(host, ".")] = '\0';
        for (char *p = host; *p; p++)
                if (!isalnum((unsigned char)*p) && *p != '-')
                        *p = '-';
        r = try == 0 ? asprintf(&name, "busrtctl.%s.%d", host[0] ? host : "localhost", getpid())
                     : asprintf(&name, "busrtctl.%s.%d-%u", host[0] ? host : "localhost", getpid(),
                                try);
        return r < 0 ? NULL : name;
}

/* --- What went wrong --- */

static const char how_to_start[] =
        "To start one:\n"
        "  systemctl start busrtd.socket   the system's, where it is installed\n"
        "  busrtd -B ./bus.sock            your own; then: busrtctl -s ./bus.sock ...\n";

/* To the point where the options say which broker is meant. */
static void print_how_to_start(const struct settings *settings)
{
        const char *instance = settings->instance;
        _cleanup_free_ char *name = text_visible(instance ? instance : "");

        if (!name || (!instance && settings->bus == BUS_AUTO))
                (void)fputs(how_to_start, stderr);
        else if (settings->bus != BUS_USER)
                (void)fprintf(stderr, "To start it: systemctl start busrtd%s%s.socket\n",
                              instance ? "@" : "", name);
        else if (!instance)
                (void)fputs("To start it: systemctl --user start busrtd.socket\n", stderr);
}

bool address_is_path(const char *address)
{
        size_t len = strlen(address);
        static const char *const ends[] = {".sock", ".socket", ".ipc"};

        if (address[0] == '/')
                return true;
        for (size_t i = 0; i < ARRAY_SIZE(ends); i++)
                if (len >= strlen(ends[i]) && strcmp(address + len - strlen(ends[i]), ends[i]) == 0)
                        return true;
        return false;
}

static void print_tried(const char *path, const char *origin)
{
        _cleanup_free_ char *visible = text_visible(path);
        struct stat st;

        (void)fprintf(stderr, "  %s%s: %s\n", visible ? visible : "?", origin,
                      stat(path, &st) < 0     ? strerrordesc_np(errno)
                      : !S_ISSOCK(st.st_mode) ? "not a socket"
                                              : "there");
}

/* No address was given and none of the usual ones is there. */
static int fail_not_found(const struct settings *settings)
{
        const char *set = getenv("BUSRT_SOCKET");
        _cleanup_free_ char *user = NULL;

        (void)fputs("busrtctl: no broker found. Tried:\n", stderr);
        if (set && set[0])
                print_tried(set, " ($BUSRT_SOCKET)");
        else
                (void)fputs("  $BUSRT_SOCKET: not set\n", stderr);
        if (user_socket(&user) >= 0)
                print_tried(user, "");
        else
                (void)fputs("  $XDG_RUNTIME_DIR/busrt/bus.sock: $XDG_RUNTIME_DIR is not set\n",
                            stderr);
        print_tried(SYSTEM_SOCKET, "");
        print_how_to_start(settings);
        return EXIT_FAILURE;
}

/* The outermost folder of the path that this user may not enter, or NULL. */
static char *closed_folder(const char *path)
{
        _cleanup_free_ char *folder = strdup(path);

        for (char *slash = folder ? strchr(folder + 1, '/') : NULL; slash;
             slash = strchr(slash + 1, '/')) {
                *slash = '\0';
                if (access(folder, X_OK) < 0)
                        return TAKE_PTR(folder);
                *slash = '/';
        }
        return NULL;
}

/* Who may use this file, and how to become one of them. */
static void print_permission(const char *path)
{
        struct stat st;
        const struct group *group;
        const struct passwd *user;

        if (stat(path, &st) < 0)
                return;
        user = getpwuid(st.st_uid);
        group = getgrgid(st.st_gid);
        (void)fprintf(stderr, "%s belongs to user %s and group %s, mode %04o.\n", path,
                      user ? user->pw_name : "?", group ? group->gr_name : "?", st.st_mode & 07777);
        if (group && st.st_mode & S_IRGRP)
                (void)fprintf(stderr,
                              "Become a member: usermod -aG %s USER (as root), and log in again.\n",
                              group->gr_name);
}

/* Connecting was not permitted by the file system: which file, and which group. */
static bool fail_permission(const char *address)
{
        _cleanup_free_ char *folder = NULL;

        if (!address_is_path(address) || access(address, R_OK | W_OK) == 0)
                return false;
        folder = closed_folder(address);
        (void)fprintf(stderr, "busrtctl: no permission to use %s\n", address);
        print_permission(folder ? folder : address);
        return true;
}

static int fail_unix(const struct settings *settings, int error, const char *address)
{
        struct stat st;

        if (error == ENOENT)
                (void)fprintf(stderr, "busrtctl: no broker at %s: there is no such file\n",
                              address);
        else if (error == ECONNREFUSED && stat(address, &st) == 0 && !S_ISSOCK(st.st_mode))
                (void)fprintf(stderr, "busrtctl: %s is not a socket\n", address);
        else if (error == ECONNREFUSED)
                (void)fprintf(stderr,
                              "busrtctl: no broker at %s: the file is there, but nobody listens\n",
                              address);
        else
                return fail(error, "cannot connect to %s", address);
        print_how_to_start(settings);
        return EXIT_FAILURE;
}

static int fail_refused_name(int error, const char *name)
{
        const char *mark = strstr(name, "%%");

        if (error == EBUSY)
                (void)fprintf(stderr,
                              "busrtctl: the name \"%s\" is taken: choose another with -n\n", name);
        else if (error == EHOSTUNREACH)
                (void)fprintf(stderr,
                              "busrtctl: \"%.*s\", the primary of \"%s\", is not connected\n",
                              (int)(mark - name), name, name);
        else
                (void)fprintf(stderr,
                              "busrtctl: the broker refuses the name \"%s\"\n"
                              "A name is 1 to 1024 bytes of UTF-8, without controls, and does not "
                              "begin with a dot.\n",
                              name);
        return EXIT_FAILURE;
}

/* In the order in which it can go wrong: the file, the network, the handshake, the name, the rules.
 */
static void print_failure(const struct settings *settings, int error, const char *address,
                          const char *name)
{
        _cleanup_free_ char *where = text_visible(address), *who = text_visible(name);

        if (!where || !who)
                (void)fail(ENOMEM, "cannot connect");
        else if ((error == EACCES || error == EPERM) && fail_permission(where))
                return;
        else if (error == EACCES)
                (void)fail(
                        0,
                        "the broker's access rules do not let \"%s\" in: its log says which rule",
                        who);
        else if (error == EBUSY || error == EBADMSG ||
                 (error == EHOSTUNREACH && strstr(name, "%%")))
                (void)fail_refused_name(error, who);
        else if (error == EPROTO)
                (void)fail(0, "what listens at %s does not speak BUS/RT", where);
        else if (error == ETIMEDOUT)
                (void)fail(0, "%s does not answer: is it a BUS/RT broker, and alive?", where);
        else if (error == EINVAL)
                (void)fail(0,
                           "\"%s\" is no address: a path that begins with / or ends in .sock, "
                           "HOST:PORT or "
                           "[IPV6]:PORT",
                           where);
        else if (address_is_path(address))
                (void)fail_unix(settings, error, where);
        else if (error == ECONNREFUSED)
                (void)fail(0, "no broker at %s: nobody listens there", where);
        else if (error == EHOSTUNREACH)
                (void)fail(0, "%s: no such host (an address is a path, HOST:PORT or [IPV6]:PORT)",
                           where);
        else
                (void)fail(error, "cannot connect to %s", where);
}

/* --- Connecting --- */

static int connect_as(const struct settings *settings, const char *name, busrt_client **ret,
                      char **ret_address)
{
        _cleanup_(busrt_client_freep) busrt_client *client = NULL;
        const char *address;
        int r;

        r = busrt_client_new(name, &client);
        if (r < 0)
                return r == -ENOMEM ? r : -EBADMSG;
        r = busrt_client_set_timeout(client, settings->timeout);
        if (r >= 0)
                r = busrt_client_connect(client, settings->address);
        address = busrt_client_get_address(client);
        free(*ret_address);
        *ret_address = address ? strdup(address) : NULL;
        if (r >= 0)
                *ret = TAKE_PTR(client);
        return r;
}

int connect_broker_after(const struct settings *settings, const char *tried, busrt_client **ret)
{
        _cleanup_free_ char *name = NULL, *address = NULL;
        int r = -ENOMEM;

        for (unsigned try = 0; try < NAME_TRIES; try++) {
                free(name);
                name = settings->name ? strdup(settings->name) : own_name(try);
                r = name ? connect_as(settings, name, ret, &address) : -ENOMEM;
                if (r != -EBUSY || settings->name)
                        break;
        }
        if (r >= 0)
                return 0;
        if (tried)
                (void)fail(0, "%s", tried);
        if (!settings->address && r == -ENOENT)
                (void)fail_not_found(settings);
        else
                print_failure(settings, -r,
                              settings->address ? settings->address
                              : address         ? address
                                                : SYSTEM_SOCKET,
                              name ? name : "?");
        return r;
}

int connect_broker(const struct settings *settings, busrt_client **ret)
{
        return connect_broker_after(settings, NULL, ret);
}

/* --- Where brokers are --- */

int user_socket(char **ret)
{
        const char *runtime = getenv("XDG_RUNTIME_DIR");
        char *path;

        if (!runtime || !runtime[0])
                return -ENXIO;
        if (asprintf(&path, "%s/busrt/bus.sock", runtime) < 0)
                return -ENOMEM;
        *ret = path;
        return 0;
}
