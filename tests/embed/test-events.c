/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Promise: what happens is told: each type of event, of whom, and whether that is its end. The
 * broker is on the test's own loop, so that each event is there when its cause has been served.
 */
#include <arpa/inet.h>
#include <netinet/in.h>

#include "embed-bed.h"

#define SEEN_MAX 2000

/* An event as it was told. */
struct seen {
        enum busrt_broker_event_type type;
        bool over, local, has_uid;
        uint64_t id, n_frames;
        uid_t uid;
        pid_t pid;
        char name[200], detail[200], source[64];
};

static struct seen seen[SEEN_MAX];
static size_t n_seen;

static void note(busrt_broker *b, const busrt_broker_event *e, void *userdata)
{
        struct seen *s = &seen[n_seen++];

        assert_ptr_equal(userdata, &n_seen);
        assert_true(n_seen < SEEN_MAX);
        *s = (struct seen){.type = e->type,
                           .over = e->over,
                           .local = e->peer.local,
                           .has_uid = e->peer.has_uid,
                           .id = e->id,
                           .n_frames = e->n_frames,
                           .uid = e->peer.uid,
                           .pid = e->peer.pid};
        snprintf(s->name, sizeof(s->name), "%s", e->name);
        snprintf(s->detail, sizeof(s->detail), "%s", e->detail);
        snprintf(s->source, sizeof(s->source), "%s", e->peer.source ? e->peer.source : "");
}

static busrt_broker *watched_broker(void)
{
        busrt_broker *b = new_broker();

        n_seen = 0;
        assert_int_equal(busrt_broker_set_event_handler(b, note, &n_seen), 0);
        return b;
}

/* The one event of that type since the last look; then all are forgotten. */
static struct seen the_event(busrt_broker *b, enum busrt_broker_event_type type)
{
        struct seen found = {0};
        unsigned n = 0;

        settle(b);
        for (size_t i = 0; i < n_seen; i++)
                if (seen[i].type == type) {
                        found = seen[i];
                        n++;
                }
        if (n != 1)
                fail_msg("%u events of type %d among %zu", n, type, n_seen);
        n_seen = 0;
        return found;
}

/* --- Those that come and go --- */

static void a_client_here_comes_and_goes(void **state)
{
        _cleanup_broker_ busrt_broker *b = watched_broker();
        busrt_client *c = joined(b, "c");
        struct seen came = the_event(b, BUSRT_BROKER_EVENT_REGISTERED), went;

        assert_string_equal(came.name, "c");
        assert_true(came.id > 0 && !came.over);
        assert_true(came.local && came.has_uid);
        assert_int_equal(came.uid, geteuid());
        assert_int_equal(came.pid, getpid());
        assert_string_equal(came.source, "");
        busrt_client_free(c);
        went = the_event(b, BUSRT_BROKER_EVENT_GONE);
        assert_int_equal(went.id, came.id);
        assert_string_equal(went.name, "c");
        assert_true(went.over);
        assert_string_equal(went.detail, "closed by the client");
}

static bool is_connected(void *userdata)
{
        busrt_client *c = userdata;

        assert_true(busrt_client_process(c) >= 0);
        return busrt_client_get_state(c) == BUSRT_STATE_CONNECTED;
}

static busrt_client *served_by_socket(busrt_broker *b, const char *name, const char *address)
{
        busrt_client *c = new_client(name);

        assert_int_equal(busrt_client_connect_start(c, address), 0);
        serve_until(b, is_connected, c);
        return c;
}

static void a_client_by_socket_comes_and_goes(void **state)
{
        _cleanup_broker_ busrt_broker *b = watched_broker();
        char name[1025] = "";
        busrt_client *c;
        struct seen came;

        memset(name, 'n', 1000);
        assert_int_equal(busrt_broker_listen(b, place.path, 0), 0);
        c = served_by_socket(b, name, place.path);
        came = the_event(b, BUSRT_BROKER_EVENT_REGISTERED);
        assert_int_equal(strlen(came.name), 127);
        assert_memory_equal(came.name + 124, "...", 3);
        assert_true(!came.local && came.has_uid);
        assert_int_equal(came.uid, geteuid());
        assert_int_equal(came.pid, getpid());
        busrt_client_free(c);
        assert_int_equal(the_event(b, BUSRT_BROKER_EVENT_GONE).id, came.id);
}

/* A TCP socket of this machine, and where it is. */
static int tcp_listener(char address[32])
{
        struct sockaddr_in sa = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        socklen_t len = sizeof(sa);
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

        assert_int_equal(bind(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
        assert_int_equal(getsockname(fd, (struct sockaddr *)&sa, &len), 0);
        assert_int_equal(listen(fd, 5), 0);
        snprintf(address, 32, "127.0.0.1:%u", ntohs(sa.sin_port));
        return fd;
}

static void a_client_of_another_host(void **state)
{
        _cleanup_broker_ busrt_broker *b = watched_broker();
        _cleanup_client_ busrt_client *c = NULL;
        char address[32];
        struct seen came;

        assert_int_equal(busrt_broker_listen_fd(b, tcp_listener(address)), 0);
        c = served_by_socket(b, "c", address);
        came = the_event(b, BUSRT_BROKER_EVENT_REGISTERED);
        assert_true(!came.local && !came.has_uid);
        assert_int_equal(came.pid, 0);
        assert_memory_equal(came.source, "127.0.0.1:", 10);
}

static void disconnected_by_the_program(void **state)
{
        _cleanup_broker_ busrt_broker *b = watched_broker();
        _cleanup_client_ busrt_client *c = joined(b, "c");
        uint64_t id = the_event(b, BUSRT_BROKER_EVENT_REGISTERED).id;
        struct seen went;

        assert_int_equal(busrt_broker_disconnect(b, id), 0);
        went = the_event(b, BUSRT_BROKER_EVENT_GONE);
        assert_int_equal(went.id, id);
        assert_string_equal(went.detail, "disconnected by the administrator");
        assert_int_equal(busrt_broker_disconnect(b, id), -ENOENT);
        expect_closed(c, -ECONNRESET);
}

static void a_name_is_taken_over(void **state)
{
        _cleanup_broker_ busrt_broker *b = watched_broker();
        _cleanup_client_ busrt_client *c = joined(b, "c"), *d = NULL;
        uint64_t id = the_event(b, BUSRT_BROKER_EVENT_REGISTERED).id;
        struct seen went;

        assert_int_equal(busrt_broker_set(b, BUSRT_BROKER_FORCE_REGISTER, BUSRT_FORCE_REGISTER_ANY),
                         0);
        d = joined(b, "c");
        went = the_event(b, BUSRT_BROKER_EVENT_TAKEOVER);
        assert_int_equal(went.id, id);
        assert_true(went.over);
}

/* --- Refusals --- */

static void a_name_is_refused(void **state)
{
        _cleanup_broker_ busrt_broker *b = watched_broker();
        _cleanup_client_ busrt_client *c = joined(b, "c"), *d = new_client("c");
        struct seen refused;

        assert_int_equal(busrt_broker_connect(b, d), -EBUSY);
        refused = the_event(b, BUSRT_BROKER_EVENT_REFUSED);
        assert_string_equal(refused.name, "c");
        assert_string_equal(refused.detail, "the name is taken");
        assert_true(refused.over && refused.local);
        assert_int_equal(stats_of(b).refused, 1);
}

static bool is_closed(void *userdata)
{
        busrt_client *c = userdata;

        (void)busrt_client_process(c);
        return busrt_client_get_state(c) == BUSRT_STATE_CLOSED;
}

/* All of this machine's TCP is one address, which has limits; our user has none. */
static void a_connection_is_refused(void **state)
{
        _cleanup_broker_ busrt_broker *b = watched_broker();
        _cleanup_client_ busrt_client *c = NULL, *d = new_client("d");
        char address[32];
        struct seen refused;

        assert_int_equal(busrt_broker_set(b, BUSRT_BROKER_MAX_CONNECTIONS, 1), 0);
        assert_int_equal(busrt_broker_listen_fd(b, tcp_listener(address)), 0);
        c = served_by_socket(b, "c", address);
        n_seen = 0;
        assert_int_equal(busrt_client_connect_start(d, address), 0);
        serve_until(b, is_closed, d);
        refused = the_event(b, BUSRT_BROKER_EVENT_REFUSED);
        assert_string_equal(refused.name, address);
        assert_int_equal(refused.id, 0);
        assert_non_null(strstr(refused.detail, "as many as it may"));
        assert_int_equal(stats_of(b).refused, 1);
}

static void a_subscription_is_refused(void **state)
{
        static const char *const topics[] = {"a", "b", "c"};
        _cleanup_broker_ busrt_broker *b = watched_broker();
        _cleanup_client_ busrt_client *c = NULL;
        busrt_op *op = NULL;
        char address[32];

        assert_int_equal(busrt_broker_set(b, BUSRT_BROKER_MAX_SUBSCRIPTIONS, 1), 0);
        assert_int_equal(busrt_broker_listen_fd(b, tcp_listener(address)), 0);
        c = served_by_socket(b, "c", address);
        n_seen = 0;
        assert_int_equal(busrt_client_subscribe(c, topics, 3, ACKED, &op), 0);
        assert_false(the_event(b, BUSRT_BROKER_EVENT_REFUSED).over);
        assert_int_equal(busrt_op_wait(op, DEADLINE), -EACCES);
        busrt_op_unref(op);
}

static int deny_sending(busrt_broker *b, const busrt_broker_question *q, void *userdata)
{
        return q->action == BUSRT_ACTION_SEND ? -EPERM : 0;
}

static void something_is_denied(void **state)
{
        _cleanup_broker_ busrt_broker *b = watched_broker();
        _cleanup_client_ busrt_client *c = NULL;
        struct seen denied;

        assert_int_equal(busrt_broker_set_access_handler(b, deny_sending, NULL), 0);
        c = joined(b, "c");
        for (unsigned i = 0; i < 5; i++)
                assert_int_equal(busrt_client_send(c, "d", NULL, 0, ACKED, NULL), -EACCES);
        denied = the_event(b, BUSRT_BROKER_EVENT_DENIED);
        assert_string_equal(denied.name, "c");
        assert_false(denied.over);
        assert_int_equal(denied.n_frames, 1);
        assert_non_null(strstr(denied.detail, "send to \"d\""));
        assert_int_equal(stats_of(b).denied, 5);
        /* The others are told together, at its end at the latest. */
        c = busrt_client_free(c);
        assert_int_equal(the_event(b, BUSRT_BROKER_EVENT_DENIED).n_frames, 4);
}

/* --- Bad ones --- */

static void bad_bytes(void **state)
{
        static const char bytes[] = "\xeb\x01\0\x01\0x\x01\0\0\0\x3f\0\0\0\0";
        _cleanup_broker_ busrt_broker *b = watched_broker();
        struct seen bad;
        int fds[2];

        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
        assert_int_equal(busrt_broker_adopt(b, fds[0]), 0);
        assert_int_equal(write(fds[1], bytes, sizeof(bytes) - 1), sizeof(bytes) - 1);
        bad = the_event(b, BUSRT_BROKER_EVENT_BAD_FRAME);
        assert_string_equal(bad.name, "x");
        assert_string_equal(bad.detail, "unknown operation");
        assert_true(bad.over);
        assert_int_equal(stats_of(b).bad, 1);
        close(fds[1]);
}

static bool has_timed_out(void *userdata)
{
        return n_seen > 0;
}

static void somebody_is_silent(void **state)
{
        _cleanup_broker_ busrt_broker *b = watched_broker();
        _cleanup_client_ busrt_client *c = NULL;
        struct seen late;
        int fds[2];

        assert_int_equal(busrt_broker_set(b, BUSRT_BROKER_TIMEOUT, 20 * MSEC), 0);
        c = joined(b, "here"); /* who is not timed */
        (void)the_event(b, BUSRT_BROKER_EVENT_REGISTERED);
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
        assert_int_equal(busrt_broker_adopt(b, fds[0]), 0);
        serve_until(b, has_timed_out, NULL);
        late = the_event(b, BUSRT_BROKER_EVENT_TIMEOUT);
        assert_string_equal(late.name, "");
        assert_true(late.over);
        assert_string_equal(late.detail, "the handshake was not finished in time");
        assert_int_equal(busrt_client_send(c, "here", NULL, 0, ACKED, NULL), 0);
        close(fds[1]);
}

/* --- Slow ones --- */

static void fill(busrt_client *from, const char *to, int want)
{
        int r;

        for (unsigned n = 0; (r = busrt_client_send(from, to, IOV("x"), ACKED, NULL)) == 0; n++)
                assert_true(n < 1000);
        assert_int_equal(r, want);
}

static void a_slow_receiver_is_struck(void **state)
{
        _cleanup_broker_ busrt_broker *b = watched_broker();
        _cleanup_client_ busrt_client *c = joined(b, "c"), *slow = joined(b, "slow");
        struct seen struck;

        assert_int_equal(busrt_broker_set(b, BUSRT_BROKER_QUEUE_FRAMES, 10), 0);
        assert_int_equal(busrt_broker_set(b, BUSRT_BROKER_SLOW_PACE, 0), 0);
        fill(c, "slow", -ENOBUFS);
        struck = the_event(b, BUSRT_BROKER_EVENT_STRUCK);
        assert_string_equal(struck.name, "slow");
        assert_true(struck.over);
        assert_int_equal(struck.n_frames, 10);
        assert_int_equal(stats_of(b).struck, 1);
}

static void frames_are_dropped(void **state)
{
        _cleanup_broker_ busrt_broker *b = watched_broker();
        _cleanup_client_ busrt_client *c = joined(b, "c"), *slow = joined(b, "slow");
        struct seen dropped;

        assert_int_equal(busrt_broker_set(b, BUSRT_BROKER_QUEUE_FRAMES, 10), 0);
        assert_int_equal(busrt_broker_set(b, BUSRT_BROKER_SLOW_PACE, 0), 0);
        assert_int_equal(busrt_broker_set(b, BUSRT_BROKER_SLOW_POLICY, BUSRT_SLOW_DROP_NEWEST), 0);
        fill(c, "slow", -ENOBUFS);
        fill(c, "slow", -ENOBUFS);
        slow = busrt_client_free(slow); /* then at the latest it is told */
        dropped = the_event(b, BUSRT_BROKER_EVENT_DROPPED);
        assert_string_equal(dropped.name, "slow");
        assert_false(dropped.over);
        assert_int_equal(dropped.n_frames, 2);
        assert_int_equal(stats_of(b).dropped, 2);
}

static void the_memory_is_used_up(void **state)
{
        static char payload[20000];
        struct iovec iov = {payload, sizeof(payload)};
        _cleanup_broker_ busrt_broker *b = watched_broker();
        _cleanup_client_ busrt_client *c = joined(b, "c"), *slow = joined(b, "slow");
        struct seen ended;
        int r;

        assert_int_equal(busrt_broker_set(b, BUSRT_BROKER_MEMORY, 1 << 20), 0);
        for (unsigned n = 0; (r = busrt_client_send(c, "slow", &iov, 1, ACKED, NULL)) == 0; n++)
                assert_true(n < 1000);
        assert_true(r == -ENOBUFS || r == -EHOSTUNREACH);
        ended = the_event(b, BUSRT_BROKER_EVENT_MEMORY);
        assert_string_equal(ended.name, "slow");
        assert_true(ended.over);
        assert_true(stats_of(b).held < 1 << 20);
}

/* --- Too many --- */

static void events_that_nobody_takes(void **state)
{
        _cleanup_broker_ busrt_broker *b = watched_broker();
        size_t n_registered = 0;
        bool over = false;

        settle(b);
        for (unsigned i = 0; i < 500; i++)
                busrt_client_free(joined(b, "c"));
        settle(b);
        for (size_t i = 0; i < n_seen; i++) {
                n_registered += seen[i].type == BUSRT_BROKER_EVENT_REGISTERED;
                over |= seen[i].type == BUSRT_BROKER_EVENT_RESYNC;
        }
        assert_true(over);
        assert_true(n_registered >= 100 && n_registered < 500);
        n_seen = 0;
        busrt_client_free(joined(b, "d"));
        assert_string_equal(the_event(b, BUSRT_BROKER_EVENT_REGISTERED).name, "d");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_client_here_comes_and_goes),
                cmocka_unit_test(a_client_by_socket_comes_and_goes),
                cmocka_unit_test(a_client_of_another_host),
                cmocka_unit_test(disconnected_by_the_program),
                cmocka_unit_test(a_name_is_taken_over),
                cmocka_unit_test(a_name_is_refused),
                cmocka_unit_test(a_connection_is_refused),
                cmocka_unit_test(a_subscription_is_refused),
                cmocka_unit_test(something_is_denied),
                cmocka_unit_test(bad_bytes),
                cmocka_unit_test(somebody_is_silent),
                cmocka_unit_test(a_slow_receiver_is_struck),
                cmocka_unit_test(frames_are_dropped),
                cmocka_unit_test(the_memory_is_used_up),
                cmocka_unit_test(events_that_nobody_takes),
        };

        return cmocka_run_group_tests(tests, place_make, place_remove);
}
