/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Promise: a cursor lives for its time to live since it was last used, not a microsecond less and
 * none more, and its client's loop is told when it is to go.
 *
 * The clock of this process is the test's: it is turned forward, and nobody waits for it. Server
 * and caller are both processed here.
 */
#include "cursor-bed.h"
#include "real-broker.h"

#define TTL (30 * SECOND) /* by default */
#define YEAR (365 * 24 * 3600 * SECOND)

static uint64_t forward; /* microseconds */

int __real_clock_gettime(clockid_t clock, struct timespec *ret);
int __wrap_clock_gettime(clockid_t clock, struct timespec *ret);

int __wrap_clock_gettime(clockid_t clock, struct timespec *ret)
{
        int r = __real_clock_gettime(clock, ret);

        ret->tv_sec += (time_t)(forward / SECOND);
        ret->tv_nsec += (long)(forward % SECOND) * 1000;
        if (ret->tv_nsec >= 1000000000) {
                ret->tv_nsec -= 1000000000;
                ret->tv_sec++;
        }
        return r;
}

/* --- A server and a caller --- */

static struct real_broker *broker;
static busrt_client *server, *caller;

static busrt_client *joined(const char *name)
{
        busrt_client *c = quiet_client(name);

        assert_int_equal(busrt_client_connect(c, real_broker_path(broker)), 0);
        return c;
}

static void bed_start(const busrt_method *methods, size_t n)
{
        broker = real_broker_start();
        server = joined("server");
        caller = joined("caller");
        assert_int_equal(busrt_client_add_methods(server, methods, n), 0);
        assert_int_equal(busrt_client_add_cursor_methods(server, &cursor_methods), 0);
}

static void bed_stop(void)
{
        server = busrt_client_free(server);
        caller = busrt_client_free(caller);
        broker = real_broker_stop(broker);
}

struct answer {
        int done, result, code;
        busrt_frame *reply;
};

static void on_reply(busrt_client *c, int result, const busrt_rpc_error *error, busrt_frame *reply,
                     void *userdata)
{
        struct answer *a = userdata;

        a->result = result;
        a->code = error ? error->code : 0;
        a->reply = busrt_frame_ref(reply);
        a->done = 1;
}

static void process_both(void)
{
        struct pollfd fds[] = {{busrt_client_get_fd(server), POLLIN, 0},
                               {busrt_client_get_fd(caller), POLLIN, 0}};
        int did = busrt_client_process(server);

        assert_true(did >= 0);
        did += busrt_client_process(caller);
        assert_true(did >= 0);
        if (did == 0)
                assert_true(poll(fds, 2, 1000) >= 0);
}

static void start_call(const char *method, const void *params, size_t len, struct answer *a)
{
        struct iovec iov = {(void *)params, len};

        *a = (struct answer){0};
        assert_int_equal(busrt_client_call_async(caller, "server", method, &iov, 1, 0,
                                                 BUSRT_TIMEOUT_INFINITE, on_reply, a, NULL),
                         0);
}

static void await(struct answer *a)
{
        while (!a->done)
                process_both();
}

/* The params of calls of a new cursor. */
struct ticket {
        uint8_t params[21];
};

static struct ticket opened(const char *method)
{
        struct ticket ticket;
        struct answer a;

        start_call(method, NULL, 0, &a);
        await(&a);
        assert_int_equal(a.result, 0);
        memcpy(ticket.params, busrt_frame_get_payload(a.reply, NULL), sizeof(ticket.params));
        busrt_frame_unref(a.reply);
        return ticket;
}

/* The number of items that came: 1, 0 at the end; or the code of the error reply. */
static int next_of(const struct ticket *ticket)
{
        struct answer a;
        size_t len;

        start_call("N", ticket->params, sizeof(ticket->params), &a);
        await(&a);
        (void)busrt_frame_get_payload(a.reply, &len);
        busrt_frame_unref(a.reply);
        return a.code ? a.code : len > 0;
}

/* All that there is to do now. */
static void drain(busrt_client *c)
{
        int r;

        while ((r = busrt_client_process(c)) > 0)
                continue;
        assert_int_equal(r, 0);
}

static uint64_t due(busrt_client *c)
{
        uint64_t at;

        assert_int_equal(busrt_client_get_timeout(c, &at), 0);
        return at;
}

/* --- Time to live --- */

static void each_use_gives_it_a_whole_time_to_live(void **state)
{
        struct counter counter = {.total = 100};
        const busrt_method methods[] = {{"open", open_counter, &counter, 0}};
        struct ticket ticket;
        uint64_t used;

        bed_start(methods, 1);
        ticket = opened("open");
        for (int i = 0; i < 5; i++) {
                drain(server);
                used = due(server) - TTL;
                assert_true(used <= now_usec() && used + SECOND > now_usec());
                forward += TTL - SECOND; /* nearly */
                drain(server);
                assert_int_equal(next_of(&ticket), 1);
        }
        forward += TTL;
        assert_int_equal(next_of(&ticket), BUSRT_RPC_NOT_FOUND);
        assert_int_equal(counter.at, 5);
        bed_stop();
        assert_int_equal(counter.n_freed, 1);
}

static void the_loop_lets_it_go_when_its_time_is_up(void **state)
{
        struct counter counter = {.total = 100, .ttl = 7 * SECOND};
        const busrt_method methods[] = {{"open", open_counter, &counter, 0}};

        bed_start(methods, 1);
        drain(server);
        assert_int_equal(due(server), UINT64_MAX);
        (void)opened("open");
        drain(server);
        forward += due(server) - now_usec() - SECOND / 2;
        drain(server);
        assert_int_equal(counter.n_freed, 0);
        assert_int_equal(busrt_client_count_cursors(server), 1);
        forward += SECOND / 2;
        drain(server);
        assert_int_equal(counter.n_freed, 1);
        assert_int_equal(busrt_client_count_cursors(server), 0);
        assert_int_equal(due(server), UINT64_MAX);
        bed_stop();
        assert_int_equal(counter.n_freed, 1);
}

static void one_without_end_stays(void **state)
{
        struct counter counter = {.total = 100, .ttl = BUSRT_TIMEOUT_INFINITE};
        const busrt_method methods[] = {{"open", open_counter, &counter, 0}};
        struct ticket ticket;

        bed_start(methods, 1);
        ticket = opened("open");
        drain(server);
        assert_int_equal(due(server), UINT64_MAX);
        forward += YEAR;
        assert_int_equal(next_of(&ticket), 1);
        assert_int_equal(counter.n_freed, 0);
        bed_stop();
        assert_int_equal(counter.n_freed, 1);
}

static void the_end_is_remembered_for_the_rest_of_its_time(void **state)
{
        struct counter counter = {.total = 0};
        const busrt_method methods[] = {{"open", open_counter, &counter, 0}};
        struct ticket ticket;

        bed_start(methods, 1);
        ticket = opened("open");
        assert_int_equal(next_of(&ticket), 0);
        assert_int_equal(counter.n_freed, 1);
        forward += TTL - SECOND;
        assert_int_equal(next_of(&ticket), 0);
        forward += TTL;
        assert_int_equal(next_of(&ticket), BUSRT_RPC_NOT_FOUND);
        drain(server);
        assert_int_equal(due(server), UINT64_MAX);
        bed_stop();
        assert_int_equal(counter.n_freed, 1);
}

static int let_time_pass(busrt_client *c, busrt_request *request, void *userdata)
{
        forward += TTL;
        return busrt_request_reply(request, NULL, 0);
}

/* Both calls come at once, and the first takes as long as the cursor lives. */
static void a_call_that_comes_too_late_finds_it_gone_before_the_loop_does(void **state)
{
        struct counter counter = {.total = 100};
        const busrt_method methods[] = {{"open", open_counter, &counter, 0},
                                        {"slow", let_time_pass, NULL, 0}};
        struct answer slow, next;
        struct ticket ticket;

        bed_start(methods, 2);
        ticket = opened("open");
        assert_int_equal(busrt_client_cork(caller), 0);
        start_call("slow", NULL, 0, &slow);
        start_call("N", ticket.params, sizeof(ticket.params), &next);
        assert_int_equal(busrt_client_uncork(caller), 0);
        await(&slow);
        await(&next);
        assert_int_equal(next.code, BUSRT_RPC_NOT_FOUND);
        busrt_frame_unref(slow.reply);
        busrt_frame_unref(next.reply);
        bed_stop();
        assert_int_equal(counter.at, 0);
        assert_int_equal(counter.n_freed, 1);
}

/* --- Many --- */

#define MANY 500

static struct counter many[MANY];

static int open_one_of_many(busrt_client *c, busrt_request *request, void *userdata)
{
        int *at = userdata;

        return open_counter(c, request, &many[(*at)++]);
}

static void each_of_many_goes_in_its_time(void **state)
{
        int at = 0;
        const busrt_method methods[] = {{"open", open_one_of_many, &at, 0}};
        struct ticket tickets[MANY];
        uint64_t begun;

        bed_start(methods, 1);
        assert_int_equal(busrt_client_set_max_cursors(server, MANY, MANY), 0);
        begun = now_usec();
        for (size_t i = 0; i < MANY; i++) {
                many[i] = (struct counter){.total = 1, .ttl = (1 + i * 7 % MANY) * 3600 * SECOND};
                tickets[i] = opened("open");
        }
        assert_int_equal(busrt_client_count_cursors(server), MANY);
        for (size_t hour = 1; hour <= MANY; hour++) {
                forward += begun + hour * 3600 * SECOND + 60 * SECOND - now_usec();
                drain(server);
                assert_int_equal(busrt_client_count_cursors(server), MANY - hour);
                for (size_t i = 0; i < MANY; i++)
                        assert_int_equal(many[i].n_freed, many[i].ttl <= hour * 3600 * SECOND);
        }
        assert_int_equal(next_of(&tickets[0]), BUSRT_RPC_NOT_FOUND);
        bed_stop();
}

static void of_too_many_ended_ones_the_oldest_are_forgotten(void **state)
{
        struct counter counter = {.total = 0};
        const busrt_method methods[] = {{"open", open_counter, &counter, 0}};
        struct ticket first, second, last;

        bed_start(methods, 1);
        first = opened("open");
        assert_int_equal(next_of(&first), 0);
        second = opened("open");
        assert_int_equal(next_of(&second), 0);
        for (int i = 0; i < 1023; i++) {
                last = opened("open");
                assert_int_equal(next_of(&last), 0);
        }
        assert_int_equal(next_of(&first), BUSRT_RPC_NOT_FOUND);
        assert_int_equal(next_of(&second), 0);
        assert_int_equal(next_of(&last), 0);
        bed_stop();
        assert_int_equal(counter.n_freed, 1025);
}

/* --- While the program is asked --- */

static int leave(busrt_cursor *cursor, size_t wanted, void *userdata)
{
        *(busrt_cursor **)userdata = cursor;
        return BUSRT_CURSOR_LATER;
}

static int open_slow(busrt_client *c, busrt_request *request, void *userdata)
{
        return busrt_request_reply_cursor(request, leave, NULL, userdata, BUSRT_TIMEOUT_DEFAULT);
}

static void no_time_passes_for_it_while_it_is_called(void **state)
{
        busrt_cursor *cursor = NULL;
        const busrt_method methods[] = {{"open", open_slow, &cursor, 0}};
        struct ticket ticket;
        struct answer a;

        bed_start(methods, 1);
        ticket = opened("open");
        start_call("N", ticket.params, sizeof(ticket.params), &a);
        while (!cursor)
                process_both();
        drain(server);
        assert_int_equal(due(server), UINT64_MAX);
        forward += 10 * TTL;
        process_both();
        assert_int_equal(put_number(cursor, 1), 0);
        assert_int_equal(busrt_cursor_continue(cursor, BUSRT_CURSOR_MORE), 0);
        await(&a);
        assert_int_equal(a.result, 0);
        busrt_frame_unref(a.reply);
        assert_true(due(server) > now_usec() + TTL - SECOND);
        assert_int_equal(busrt_client_count_cursors(server), 1);
        forward += TTL;
        drain(server);
        assert_int_equal(busrt_client_count_cursors(server), 0);
        bed_stop();
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(each_use_gives_it_a_whole_time_to_live),
                cmocka_unit_test(the_loop_lets_it_go_when_its_time_is_up),
                cmocka_unit_test(one_without_end_stays),
                cmocka_unit_test(the_end_is_remembered_for_the_rest_of_its_time),
                cmocka_unit_test(a_call_that_comes_too_late_finds_it_gone_before_the_loop_does),
                cmocka_unit_test(each_of_many_goes_in_its_time),
                cmocka_unit_test(of_too_many_ended_ones_the_oldest_are_forgotten),
                cmocka_unit_test(no_time_passes_for_it_while_it_is_called),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
