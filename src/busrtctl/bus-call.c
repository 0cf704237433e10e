/* SPDX-License-Identifier: Apache-2.0 */
/*
 * D-Bus as a program that is told to stop needs it: nothing here waits beyond its time, and an
 * interrupt ends every wait. sd_bus_call() would, before the bus has said hello.
 */
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>

#include "basic/macro.h"
#include "busrtctl/agent.h"
#include "busrtctl/bus-call.h"

#define NO_SUCH_CLIENT "org.busrt1.Error.NoSuchClient"
#define RELOAD_FAILED "org.busrt1.Error.ReloadFailed"

/* A password takes its time. */
#define PASSWORD_USEC UINT64_C(300000000)
#define POLL_USEC_MAX UINT64_C(3600000000)

/* --- Waiting --- */

static int bus_wait(sd_bus *bus, uint64_t end)
{
        struct pollfd fds[] = {
                {.fd = sd_bus_get_fd(bus)},
                {.fd = interrupt_fd(), .events = POLLIN},
        };
        int events = sd_bus_get_events(bus);
        uint64_t wanted = UINT64_MAX, now = now_usec(), span;
        struct timespec time;

        if (fds[0].fd < 0 || events < 0)
                return fds[0].fd < 0 ? fds[0].fd : events;
        fds[0].events = (short)events;
        (void)sd_bus_get_timeout(bus, &wanted);
        wanted = MIN(wanted, end);
        span = MIN(wanted > now ? wanted - now : 0, POLL_USEC_MAX);
        time = (struct timespec){.tv_sec = (time_t)(span / 1000000),
                                 .tv_nsec = (long)(span % 1000000) * 1000};
        return ppoll(fds, ARRAY_SIZE(fds), &time, NULL) < 0 && errno != EINTR ? -errno : 0;
}

int bus_process_until(sd_bus *bus, uint64_t end, const bool *done)
{
        int r = 0;

        while (!(done && *done)) {
                if (interrupted())
                        return -EINTR;
                if (r == 0 && now_usec() >= end)
                        return 0;
                r = sd_bus_process(bus, NULL);
                if (r < 0)
                        return r;
                if (r == 0 && !(done && *done)) {
                        r = bus_wait(bus, end);
                        if (r < 0)
                                return r;
                }
        }
        return 0;
}

struct exchange {
        bool done;
        sd_bus_message *reply;
};

static int on_reply(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
        struct exchange *exchange = userdata;

        exchange->done = true;
        exchange->reply = sd_bus_message_ref(m);
        return 0;
}

/* 0 and the reply, which may be an error's; or -errno. */
static int send_and_wait(sd_bus *bus, sd_bus_message *m, uint64_t timeout, sd_bus_message **ret)
{
        _cleanup_(sd_bus_slot_unrefp) sd_bus_slot *slot = NULL;
        struct exchange exchange = {0};
        uint64_t now = now_usec(), end = timeout > UINT64_MAX - now ? UINT64_MAX : now + timeout;
        int r = sd_bus_call_async(bus, &slot, m, on_reply, &exchange, UINT64_MAX);

        if (r < 0)
                return r;
        r = bus_process_until(bus, end, &exchange.done);
        if (!exchange.done)
                return r < 0 ? r : -ETIMEDOUT;
        *ret = exchange.reply;
        return 0;
}

/* --- Connecting --- */

static const char *open_failure(int r)
{
        return r == -ENOENT         ? "there is no such bus"
               : r == -ENOMEDIUM    ? "$XDG_RUNTIME_DIR is not set"
               : r == -ECONNREFUSED ? "nobody listens there"
               : r == -ETIMEDOUT    ? "the bus does not answer"
                                    : strerrordesc_np(-r);
}

static int set_why(char **ret_why, int r, const char *why)
{
        *ret_why = strdup(why);
        return r;
}

/* Asked first, so that a bus without a broker is no failure of the request. */
static int find_owner(struct admin *admin, char **ret_why)
{
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL, *reply = NULL;
        const sd_bus_error *error;
        int r;

        r = sd_bus_message_new_method_call(admin->bus, &m, "org.freedesktop.DBus",
                                           "/org/freedesktop/DBus", "org.freedesktop.DBus",
                                           "GetNameOwner");
        if (r >= 0)
                r = sd_bus_message_append(m, "s", admin->bus_name);
        if (r >= 0)
                r = send_and_wait(admin->bus, m, admin->settings.timeout, &reply);
        if (r < 0)
                return set_why(ret_why, r, open_failure(r));
        error = sd_bus_message_get_error(reply);
        if (!error)
                return 0;
        if (sd_bus_error_has_name(error, SD_BUS_ERROR_NAME_HAS_NO_OWNER))
                return set_why(ret_why, -ESRCH, "nobody has that name there");
        return set_why(ret_why, -EIO, error->message ? error->message : error->name);
}

int bus_open(struct admin *admin, char **ret_why)
{
        int r;

        if (sd_bus_service_name_is_valid(admin->bus_name) <= 0)
                return set_why(ret_why, -EINVAL, "D-Bus has no names of that form");
        r = admin->user ? sd_bus_open_user(&admin->bus) : sd_bus_open_system(&admin->bus);
        if (r < 0)
                return set_why(ret_why, r, open_failure(r));
        r = find_owner(admin, ret_why);
        if (r < 0)
                admin->bus = sd_bus_close_unref(admin->bus);
        return r;
}

/* --- What went wrong --- */

int bus_fail_connection(const struct admin *admin, int r)
{
        if (r == -EINTR && interrupted())
                return -EXIT_FAILURE;
        if (r == -ETIMEDOUT)
                (void)fail(0, "%s: no answer in time (busrtctl -t TIME waits longer)",
                           admin->route);
        else if (r == -ENOTCONN || r == -ECONNRESET || r == -EPIPE)
                (void)fail(0, "%s: the bus closed the connection", admin->route);
        else
                (void)fail(0, "%s: %s", admin->route, strerrordesc_np(-r));
        return -EXIT_FAILURE;
}

static int fail_denied(const struct admin *admin, const struct bus_method *method,
                       const sd_bus_error *error)
{
        if (!method->action)
                return -fail(0, "%s: not allowed: %s", admin->route,
                             error->message ? error->message : error->name);
        (void)fail(0, "not allowed: it takes the right %s", method->action);
        admin_advise_root();
        (void)fprintf(stderr, "Others may be given that right by a rule of polkit's: polkit(8).\n");
        return -EXIT_FAILURE;
}

static int fail_not_asked(const struct bus_method *method, bool asked)
{
        (void)fail(0, "not allowed without a password: it takes the right %s",
                   method->action ? method->action : method->method);
        (void)fputs(asked ? "Nobody asked for one: pkttyagent, or another agent of polkit's, is "
                            "missing.\n"
                          : "It is asked for on a terminal, without --no-ask-password.\n",
                    stderr);
        admin_advise_root();
        return -EXIT_FAILURE;
}

static bool is_one_of(const sd_bus_error *error, const char *const *names)
{
        for (; *names; names++)
                if (sd_bus_error_has_name(error, *names))
                        return true;
        return false;
}

static bool has_gone(const sd_bus_error *error)
{
        static const char *const gone[] = {SD_BUS_ERROR_SERVICE_UNKNOWN,
                                           SD_BUS_ERROR_NAME_HAS_NO_OWNER,
                                           SD_BUS_ERROR_DISCONNECTED, SD_BUS_ERROR_NO_REPLY, NULL};

        return is_one_of(error, gone);
}

/* Of a silent call. */
static int number_of(const sd_bus_error *error)
{
        static const char *const denied[] = {SD_BUS_ERROR_ACCESS_DENIED,
                                             SD_BUS_ERROR_INTERACTIVE_AUTHORIZATION_REQUIRED, NULL};

        return is_one_of(error, denied) ? -EACCES : has_gone(error) ? -ECONNRESET : -EIO;
}

static int fail_method(const struct admin *admin, const struct bus_method *method,
                       const sd_bus_error *error, bool asked)
{
        static const char *const unknown[] = {
                SD_BUS_ERROR_UNKNOWN_METHOD, SD_BUS_ERROR_UNKNOWN_INTERFACE,
                SD_BUS_ERROR_UNKNOWN_OBJECT, SD_BUS_ERROR_UNKNOWN_PROPERTY, NULL};
        const char *why = error->message ? error->message : error->name;

        if (sd_bus_error_has_name(error, NO_SUCH_CLIENT))
                return admin_fail_no_client(method->client ? method->client : why);
        if (sd_bus_error_has_name(error, RELOAD_FAILED))
                return admin_fail_reload(why);
        if (sd_bus_error_has_name(error, SD_BUS_ERROR_ACCESS_DENIED))
                return fail_denied(admin, method, error);
        if (sd_bus_error_has_name(error, SD_BUS_ERROR_INTERACTIVE_AUTHORIZATION_REQUIRED))
                return fail_not_asked(method, asked);
        if (has_gone(error))
                return -fail(0, "%s: the broker, or the bus, went away before it answered",
                             admin->route);
        /* An object of a client that has left meanwhile is unknown, too. */
        if (is_one_of(error, unknown))
                return method->client ? admin_fail_no_client(method->client)
                                      : admin_fail_unknown(admin, method->method);
        return -fail(0, "%s: %s: %s", admin->route, method->method, why);
}

/* --- Calling --- */

static int new_message(struct admin *admin, const struct bus_method *method, const char *types,
                       va_list args, sd_bus_message **ret)
{
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        int r;

        r = sd_bus_message_new_method_call(
                admin->bus, &m, method->destination ? method->destination : admin->bus_name,
                method->path, method->interface, method->method);
        if (r >= 0)
                r = sd_bus_message_set_auto_start(m, 0);
        if (r >= 0 && types)
                r = sd_bus_message_appendv(m, types, args);
        if (r >= 0)
                *ret = TAKE_PTR(m);
        return r;
}

/* Neither of root, nor by the user's own broker. */
static bool may_ask(const struct admin *admin, const struct bus_method *method)
{
        return method->action && !method->silent && !admin->user &&
               !admin->settings.no_ask_password && geteuid() != 0 && isatty(STDIN_FILENO);
}

/* Sends while somebody may be asked for a password, by an agent on this terminal. */
static int send_with_agent(struct admin *admin, sd_bus_message *m, sd_bus_message **ret)
{
        pid_t agent;
        int r = sd_bus_message_set_allow_interactive_authorization(m, 1);

        if (r < 0)
                return r;
        agent = agent_start();
        r = send_and_wait(admin->bus, m, MAX(PASSWORD_USEC, admin->settings.timeout), ret);
        agent_stop(agent);
        return r;
}

int bus_call(struct admin *admin, const struct bus_method *method, sd_bus_message **ret,
             const char *types, ...)
{
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL, *reply = NULL;
        bool ask = may_ask(admin, method);
        const sd_bus_error *error;
        va_list args;
        int r;

        va_start(args, types);
        r = new_message(admin, method, types, args, &m);
        va_end(args);
        if (r >= 0)
                r = ask ? send_with_agent(admin, m, &reply)
                        : send_and_wait(admin->bus, m, admin->settings.timeout, &reply);
        if (r < 0)
                return method->silent ? r : bus_fail_connection(admin, r);
        error = sd_bus_message_get_error(reply);
        if (error && method->silent)
                return number_of(error);
        if (error)
                return fail_method(admin, method, error, ask);
        *ret = TAKE_PTR(reply);
        return 0;
}
