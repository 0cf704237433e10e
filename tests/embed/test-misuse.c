/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Promise: every exported function has a defined result in every state: in a broker that is new,
 * started, or served by the program's loop, in an event handler, and for NULL and values that make
 * no sense. A function that has no row here fails the test.
 */
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/un.h>

#include "embed-bed.h"

static void ignore_event(busrt_broker *b, const busrt_broker_event *event, void *userdata)
{
}

static int allow_all(busrt_broker *b, const busrt_broker_question *question, void *userdata)
{
        return 0;
}

static int ignore_client(const busrt_broker_client_info *info, void *userdata)
{
        return 0;
}

/* --- Every function, by one good call --- */

static int free_nothing(busrt_broker *b)
{
        return busrt_broker_free(NULL) ? 1 : b ? 0 : -EINVAL;
}

static int make_another(busrt_broker *b)
{
        busrt_broker *other = NULL;
        int r = busrt_broker_new(b ? &other : NULL);

        busrt_broker_free(other);
        return r;
}

static int listen_and_forget(busrt_broker *b)
{
        return busrt_broker_listen(b, "127.0.0.1:0", 0);
}

static int listen_fd(busrt_broker *b)
{
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), r;
        const struct sockaddr_un nameless = {.sun_family = AF_UNIX};

        assert_int_equal(bind(fd, (const struct sockaddr *)&nameless, sizeof(sa_family_t)), 0);
        assert_int_equal(listen(fd, 1), 0);
        r = busrt_broker_listen_fd(b, fd);
        if (r < 0)
                assert_int_equal(close(fd), 0); /* still ours */
        return r;
}

static int adopt_and_close(busrt_broker *b)
{
        int fds[2], r;

        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
        r = busrt_broker_adopt(b, fds[0]);
        close(fds[1]);
        if (r < 0)
                assert_int_equal(close(fds[0]), 0);
        return r;
}

static int connect_and_free(busrt_broker *b)
{
        _cleanup_client_ busrt_client *c = new_client("misuse");

        return busrt_broker_connect(b, c);
}

static int has_timeout(busrt_broker *b)
{
        uint64_t usec;

        return busrt_broker_get_timeout(b, &usec);
}

static int has_fd(busrt_broker *b)
{
        int r = busrt_broker_get_fd(b);

        return r < 0 ? r : 0;
}

static int get_option(busrt_broker *b)
{
        uint64_t value;

        return busrt_broker_get(b, BUSRT_BROKER_TIMEOUT, &value);
}

static int get_stats(busrt_broker *b)
{
        busrt_broker_stats stats;

        return busrt_broker_get_stats(b, &stats);
}

/* A call that is to be named in a row below. */
#define CALL(name, ...)                                                                            \
        static int name(busrt_broker *b)                                                           \
        {                                                                                          \
                return __VA_ARGS__;                                                                \
        }

CALL(set_option, busrt_broker_set(b, BUSRT_BROKER_SLOW_PACE, 100000))
CALL(set_start_option, busrt_broker_set(b, BUSRT_BROKER_WORKERS, 1))
CALL(set_access, busrt_broker_set_access_handler(b, allow_all, NULL))
CALL(set_events, busrt_broker_set_event_handler(b, ignore_event, NULL))
CALL(access_changed, busrt_broker_access_changed(b))
CALL(foreach_client, busrt_broker_foreach_client(b, ignore_client, NULL))
CALL(disconnect, busrt_broker_disconnect(b, 1000000))
CALL(send_message, busrt_broker_send(b, BUSRT_KIND_MESSAGE, "nobody", "x", 1))
CALL(publish, busrt_broker_send(b, BUSRT_KIND_PUBLICATION, "t", NULL, 0))
CALL(process, busrt_broker_process(b))
CALL(start, busrt_broker_start(b))

struct row {
        const char *function;
        int (*call)(busrt_broker *b);
        int fresh, started, served, handler; /* in a handler of one that was started */
};

/* The last two change a new broker's state, and stand last. */
static const struct row rows[] = {
        {"new", make_another, 0, 0, 0, 0},
        {"free", free_nothing, 0, 0, 0, 0},
        {"set", set_option, 0, 0, 0, 0},
        {"set", set_start_option, 0, -EBUSY, -EBUSY, -EBUSY},
        {"get", get_option, 0, 0, 0, 0},
        {"set_access_handler", set_access, 0, -EBUSY, -EBUSY, -EBUSY},
        {"set_event_handler", set_events, 0, -EBUSY, -EBUSY, -EBUSY},
        {"listen", listen_and_forget, 0, 0, 0, 0},
        {"listen_fd", listen_fd, 0, 0, 0, 0},
        {"get_fd", has_fd, 0, 0, 0, 0},
        {"get_timeout", has_timeout, 0, 0, 0, 0},
        {"access_changed", access_changed, 0, 0, 0, 0},
        {"get_stats", get_stats, 0, 0, 0, 0},
        {"foreach_client", foreach_client, 0, 0, 0, 0},
        {"disconnect", disconnect, -ENOENT, -ENOENT, -ENOENT, -ENOENT},
        {"send", send_message, -ENOENT, -ENOENT, -ENOENT, -ENOENT},
        {"send", publish, 0, 0, 0, 0},
        {"adopt", adopt_and_close, 0, 0, 0, 0},
        {"connect", connect_and_free, 0, 0, 0, 0},
        {"process", process, 0, -EBUSY, 0, -EBUSY},
        {"start", start, -EBUSY, -EALREADY, -EBUSY, -EALREADY},
};

static unsigned compare(const struct row *row, int got, int want, const char *when)
{
        if (got == want)
                return 0;
        print_error("busrt_broker_%s, %s: %d instead of %d\n", row->function, when, got, want);
        return 1;
}

/* --- The list of functions is the header's --- */

static bool has_row(const char *name, size_t len)
{
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
                if (strlen(rows[i].function) == len && memcmp(rows[i].function, name, len) == 0)
                        return true;
        return false;
}

/* Whatever the header calls busrt_broker_...(). */
static void every_function_has_a_row(void **state)
{
        static const char prefix[] = "busrt_broker_";
        static char text[65536];
        FILE *f = fopen(BROKER_H, "re");
        unsigned wrong = 0, n = 0;
        const char *at = text;

        assert_non_null(f);
        assert_true(fread(text, 1, sizeof(text) - 1, f) > 1000);
        assert_true(feof(f));
        fclose(f);
        while ((at = strstr(at, prefix))) {
                size_t len = strspn(at, "abcdefghijklmnopqrstuvwxyz_");

                if (at[len] == '(') {
                        n++;
                        if (!has_row(at + sizeof(prefix) - 1, len - sizeof(prefix) + 1)) {
                                print_error("no row for %.*s\n", (int)len, at);
                                wrong++;
                        }
                }
                at += len;
        }
        assert_int_equal(wrong, 0);
        assert_true(n > 20);
}

/* --- States --- */

static void in_a_new_broker(void **state)
{
        _cleanup_broker_ busrt_broker *b = new_broker();
        unsigned wrong = 0;

        for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
                wrong += compare(&rows[i], rows[i].call(b), rows[i].fresh, "new");
        assert_int_equal(wrong, 0);
}

static void in_a_started_broker(void **state)
{
        _cleanup_broker_ busrt_broker *b = new_broker();
        unsigned wrong = 0;

        assert_int_equal(busrt_broker_start(b), 0);
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
                wrong += compare(&rows[i], rows[i].call(b), rows[i].started, "started");
        assert_int_equal(wrong, 0);
}

static void on_the_programs_loop(void **state)
{
        _cleanup_broker_ busrt_broker *b = new_broker();
        unsigned wrong = 0;

        assert_int_equal(busrt_broker_process(b), 0);
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
                wrong += compare(&rows[i], rows[i].call(b), rows[i].served, "served");
        assert_int_equal(wrong, 0);
}

static void of_more_workers_than_one(void **state)
{
        _cleanup_broker_ busrt_broker *b = new_broker();

        assert_int_equal(busrt_broker_set(b, BUSRT_BROKER_WORKERS, 2), 0);
        assert_int_equal(busrt_broker_process(b), -EBUSY);
        assert_int_equal(busrt_broker_start(b), 0);
}

struct tried {
        unsigned wrong;
        atomic_int done;
};

static void try_all(busrt_broker *b, const busrt_broker_event *event, void *userdata)
{
        struct tried *tried = userdata;

        if (event->type != BUSRT_BROKER_EVENT_REGISTERED || tried->done)
                return;
        tried->done = 1; /* the rows connect, too */
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
                tried->wrong += compare(&rows[i], rows[i].call(b), rows[i].handler, "handler");
        tried->done = 2;
}

static bool is_done(void *userdata)
{
        return ((struct tried *)userdata)->done == 2;
}

static void in_an_event_handler(void **state)
{
        _cleanup_broker_ busrt_broker *b = new_broker();
        _cleanup_client_ busrt_client *c = NULL;
        struct tried tried = {0};

        assert_int_equal(busrt_broker_set_event_handler(b, try_all, &tried), 0);
        assert_int_equal(busrt_broker_start(b), 0);
        c = joined(b, "c");
        wait_until(is_done, &tried);
        assert_int_equal(tried.wrong, 0);
}

/* --- NULL, and nonsense --- */

static void null_broker(void **state)
{
        unsigned wrong = 0;

        for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
                wrong += compare(&rows[i], rows[i].call(NULL), -EINVAL, "NULL");
        assert_int_equal(wrong, 0);
        assert_null(busrt_broker_free(NULL));
}

static void null_arguments(void **state)
{
        _cleanup_broker_ busrt_broker *b = new_broker();

        assert_int_equal(busrt_broker_new(NULL), -EINVAL);
        assert_int_equal(busrt_broker_get(b, BUSRT_BROKER_TIMEOUT, NULL), -EINVAL);
        assert_int_equal(busrt_broker_listen(b, NULL, 0), -EINVAL);
        assert_int_equal(busrt_broker_connect(b, NULL), -EINVAL);
        assert_int_equal(busrt_broker_get_timeout(b, NULL), -EINVAL);
        assert_int_equal(busrt_broker_get_stats(b, NULL), -EINVAL);
        assert_int_equal(busrt_broker_foreach_client(b, NULL, NULL), -EINVAL);
        assert_int_equal(busrt_broker_send(b, BUSRT_KIND_MESSAGE, NULL, "x", 1), -EINVAL);
        assert_int_equal(busrt_broker_send(b, BUSRT_KIND_MESSAGE, "t", NULL, 1), -EINVAL);
        assert_int_equal(busrt_broker_set_access_handler(b, NULL, NULL), 0);
        assert_int_equal(busrt_broker_set_event_handler(b, NULL, NULL), 0);
        assert_int_equal(busrt_broker_start(b), 0); /* they have changed nothing */
}

static void addresses_that_are_none(void **state)
{
        static const struct {
                const char *address;
                mode_t mode;
                int error;
        } rows_of_addresses[] = {
                {"", 0, -EINVAL},
                {"ws://127.0.0.1:7777", 0, -EPROTONOSUPPORT},
                {"wss://x", 0, -EPROTONOSUPPORT},
                {"fifo:/tmp/x", 0, -EPROTONOSUPPORT},
                {"127.0.0.1", 0, -EINVAL},
                {"127.0.0.1:", 0, -EINVAL},
                {"127.0.0.1:65536", 0, -EINVAL},
                {":1", 0, -EINVAL},
                {"192.0.2.1:0", 0, -EADDRNOTAVAIL},
                {"/nonexistent/bus.sock", 0, -ENOENT},
                {"/proc/bus.sock", 0, -ENOENT},
                {"/dev/null", 0, -EEXIST},
                {"/tmp/x.sock", 010000, -EINVAL},
        };
        char path[200] = "/tmp/";
        _cleanup_broker_ busrt_broker *b = new_broker();
        size_t n_fds = count_fds();
        unsigned wrong = 0;

        for (size_t i = 0; i < ARRAY_SIZE(rows_of_addresses); i++) {
                int r = busrt_broker_listen(b, rows_of_addresses[i].address,
                                            rows_of_addresses[i].mode);

                if (r != rows_of_addresses[i].error) {
                        print_error("\"%s\": %s\n", rows_of_addresses[i].address,
                                    busrt_strerror(r));
                        wrong++;
                }
        }
        assert_int_equal(wrong, 0);
        memset(path + 5, 'x', 110);
        assert_int_equal(busrt_broker_listen(b, path, 0), -ENAMETOOLONG);
        assert_int_equal(count_fds(), n_fds);
}

/* type: SOCK_...; what becomes of it. */
static int given(busrt_broker *b, int (*fn)(busrt_broker *, int), int family, int type)
{
        int fd = socket(family, type | SOCK_CLOEXEC, 0), r = fn(b, fd);

        assert_true(fd >= 0);
        assert_true(r < 0);
        assert_int_equal(close(fd), 0); /* still ours */
        return r;
}

static void descriptors_that_are_no_sockets(void **state)
{
        _cleanup_broker_ busrt_broker *b = new_broker();
        int pair[2], file = open("/dev/null", O_RDWR | O_CLOEXEC);

        assert_int_equal(busrt_broker_listen_fd(b, -1), -EBADF);
        assert_int_equal(busrt_broker_listen_fd(b, 1000000), -EBADF);
        assert_int_equal(busrt_broker_listen_fd(b, file), -ENOTSOCK);
        assert_int_equal(busrt_broker_adopt(b, -1), -EBADF);
        assert_int_equal(busrt_broker_adopt(b, 1000000), -EBADF);
        assert_int_equal(busrt_broker_adopt(b, file), -ENOTSOCK);
        close(file);
        assert_int_equal(given(b, busrt_broker_listen_fd, AF_UNIX, SOCK_STREAM), -EINVAL);
        assert_int_equal(given(b, busrt_broker_listen_fd, AF_UNIX, SOCK_DGRAM), -EINVAL);
        assert_int_equal(given(b, busrt_broker_adopt, AF_UNIX, SOCK_STREAM), -ENOTCONN);
        assert_int_equal(given(b, busrt_broker_adopt, AF_INET, SOCK_STREAM), -ENOTCONN);
        for (int type = SOCK_STREAM; type <= SOCK_SEQPACKET; type++) {
                if (socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, pair) < 0)
                        continue;
                assert_int_equal(busrt_broker_listen_fd(b, pair[0]), -EINVAL);
                if (type != SOCK_STREAM)
                        assert_int_equal(busrt_broker_adopt(b, pair[0]), -EINVAL);
                close(pair[0]);
                close(pair[1]);
        }
        assert_int_equal(given(b, busrt_broker_adopt, AF_INET, SOCK_DGRAM), -EINVAL);
}

static void clients_that_cannot_be_connected(void **state)
{
        _cleanup_broker_ busrt_broker *b = started_broker();
        _cleanup_client_ busrt_client *c = joined(b, "c"), *taken = new_client("c"),
                                      *broker = new_named_client(".broker");
        size_t n_fds = count_fds();

        assert_int_equal(busrt_broker_connect(b, c), -EISCONN);
        assert_int_equal(busrt_client_connect(c, place.path), -EISCONN);
        assert_int_equal(busrt_broker_connect(b, taken), -EBUSY);
        assert_int_equal(busrt_broker_connect(b, taken), -EISCONN);
        assert_int_equal(busrt_broker_connect(b, broker), -EBUSY);
        assert_int_equal(count_fds(), n_fds);
        assert_int_equal(busrt_client_ping(c), 0);
        assert_int_equal(busrt_client_disconnect(c), 0);
        assert_int_equal(busrt_broker_connect(b, c), -EISCONN);
}

/* Its own process's clients may have such names, others may not. */
static void names_with_a_dot(void **state)
{
        _cleanup_broker_ busrt_broker *b = started_broker();
        _cleanup_client_ busrt_client *by_path = new_named_client(".a"),
                                      *by_fd = new_named_client(".a"), *c = NULL;
        busrt_client *none = NULL;
        int fds[2];

        assert_int_equal(busrt_client_new(".a", &none), -EINVAL);
        assert_int_equal(busrt_client_new_for_stream("..a", &none), -EINVAL);
        assert_int_equal(busrt_client_new_for_stream(".", &none), -EINVAL);
        assert_int_equal(busrt_client_new_for_stream("", &none), -EINVAL);
        assert_int_equal(busrt_client_new_for_stream(NULL, &none), -EINVAL);
        assert_int_equal(busrt_client_new_for_stream(".a", NULL), -EINVAL);
        assert_int_equal(busrt_client_connect(by_path, place.path), -EINVAL);
        assert_int_equal(busrt_client_connect_start(by_path, place.path), -EINVAL);
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
        assert_int_equal(busrt_client_connect_fd(by_fd, fds[0]), -EINVAL);
        close(fds[0]);
        close(fds[1]);
        c = joined(b, ".a");
        assert_int_equal(busrt_broker_connect(b, by_path), -EBUSY);
}

static void sending_nonsense(void **state)
{
        _cleanup_broker_ busrt_broker *b = started_broker();
        _cleanup_client_ busrt_client *c = joined(b, "c");
        static char longest[8192];

        memset(longest, 'x', sizeof(longest) - 1);
        assert_int_equal(busrt_broker_send(b, 0, "c", "x", 1), -EINVAL);
        assert_int_equal(busrt_broker_send(b, BUSRT_KIND_REPLY, "c", "x", 1), -EINVAL);
        assert_int_equal(busrt_broker_send(b, (enum busrt_kind)77, "c", "x", 1), -EINVAL);
        assert_int_equal(busrt_broker_send(b, BUSRT_KIND_MESSAGE, "", "x", 1), -EINVAL);
        assert_int_equal(busrt_broker_send(b, BUSRT_KIND_MESSAGE, "\xff", "x", 1), -EINVAL);
        assert_int_equal(busrt_broker_send(b, BUSRT_KIND_BROADCAST, "\xff", "x", 1), -EINVAL);
        assert_int_equal(busrt_broker_send(b, BUSRT_KIND_PUBLICATION, "\xff", "x", 1), -EINVAL);
        assert_int_equal(busrt_broker_send(b, BUSRT_KIND_PUBLICATION, longest, "x", 1), -EINVAL);
        assert_int_equal(busrt_broker_set(b, BUSRT_BROKER_MAX_FRAME, 1024), 0);
        assert_int_equal(busrt_broker_send(b, BUSRT_KIND_MESSAGE, "c", longest, 1025), -EMSGSIZE);
        assert_int_equal(busrt_broker_send(b, BUSRT_KIND_MESSAGE, "c", "x", SIZE_MAX), -EMSGSIZE);
        assert_int_equal(busrt_broker_send(b, BUSRT_KIND_MESSAGE, "c", longest, 10), 0);
        expect_frame(c, BUSRT_KIND_MESSAGE, ".broker", "xxxxxxxxxx");
        expect_nothing(c);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(every_function_has_a_row),
                cmocka_unit_test(in_a_new_broker),
                cmocka_unit_test(in_a_started_broker),
                cmocka_unit_test(on_the_programs_loop),
                cmocka_unit_test(of_more_workers_than_one),
                cmocka_unit_test(in_an_event_handler),
                cmocka_unit_test(null_broker),
                cmocka_unit_test(null_arguments),
                cmocka_unit_test(addresses_that_are_none),
                cmocka_unit_test(descriptors_that_are_no_sockets),
                cmocka_unit_test(clients_that_cannot_be_connected),
                cmocka_unit_test(names_with_a_dot),
                cmocka_unit_test(sending_nonsense),
        };

        return cmocka_run_group_tests(tests, place_make, place_remove);
}
