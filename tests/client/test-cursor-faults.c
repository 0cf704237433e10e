/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Promise: where a cursor finds no memory, on either side, its taker is told so and gets no item
 * less without knowing; and nothing is left over. One script of both sides is run again and again;
 * each time one allocation more succeeds, and the next one fails.
 */
#include "cursor-bed.h"
#include "faults-bed.h"

#define N_ITEMS 40 /* of one bulk, which wants more memory than its first item */

/* --- The other side --- */

/* A request by "you" with the cursor's id, and a count. */
static void ask(struct fake *f, uint32_t id, const char *method, const uint8_t *cursor_id,
                uint8_t count)
{
        uint8_t body[64] = "you\0\1\0\0\0\0";
        size_t len = 9, method_len = strlen(method) + 1;

        body[5] = (uint8_t)id;
        memcpy(body + len, method, method_len);
        len += method_len;
        memcpy(body + len, "\x82\xa1u\xc4\x10", 5);
        memcpy(body + len + 5, cursor_id, 16);
        memcpy(body + len + 21, "\xa1n", 2);
        body[len + 23] = count;
        fake_deliver(f, 0x12, body, len + 24);
}

/* What follows upon a reply to request 1, 2, 3 …: opened, a bulk, a single item, cancelled. */
static void go_on(struct fake *f, const uint8_t *rpc, size_t len, uint8_t *cursor_id)
{
        if (rpc[0] == 0x11 && rpc[1] == 1 && len == 5 + 21) {
                memcpy(cursor_id, rpc + 10, 16);
                ask(f, 2, "NB", cursor_id, N_ITEMS);
        } else if (rpc[0] == 0x11 && rpc[1] == 2 && len == 5 + 3 + 5 * N_ITEMS)
                ask(f, 3, "N", cursor_id, 1);
        else if (rpc[0] == 0x11 && rpc[1] == 3 && len == 5 + 5)
                ask(f, 4, "NC", cursor_id, 1);
        else
                fake_deliver(f, 0x12, LITERAL("you\0over"));
}

static void serve_call(struct fake *f, const struct fake_frame *frame, const char *method)
{
        uint32_t id = fake_call_id(f, frame);

        fake_ack(f, frame->op, 1);
        if (strcmp(method, "open") == 0)
                fake_reply(f, "you", 0x11, id, LITERAL(OPENED));
        else
                fake_reply(f, "you", 0x11, id, LITERAL("\x93\x01\x02\x03"));
}

static void both_sides(struct fake *f, void *userdata)
{
        uint8_t cursor_id[16];

        fake_handshake(f);
        for (;;) {
                struct fake_frame frame = fake_frame(f);
                const uint8_t *rpc = memchr(frame.body, 0, frame.length);
                size_t len = rpc ? frame.length - (size_t)(++rpc - frame.body) : 0;

                if (len >= 7 && rpc[0] == 1) {
                        serve_call(f, &frame, (const char *)rpc + 5);
                        continue;
                }
                if (frame.flags & 0x40)
                        fake_ack(f, frame.op, 1);
                if (frame.length == 6 && memcmp(frame.body, "begin", 6) == 0)
                        fake_request(f, "you", 1, "open");
                else if (len >= 5)
                        go_on(f, rpc, len, cursor_id);
        }
}

/* --- The script --- */

static void note_over(busrt_client *c, busrt_frame *frame, void *userdata)
{
        *(int *)userdata = 1;
}

static void give(struct counter *counter)
{
        uint64_t until = now_usec() + PATIENCE;
        int over = 0;

        worked(busrt_client_set_frame_handler(client, note_over, &over));
        if (!worked(busrt_client_send(client, "begin", NULL, 0, ACKED, NULL)))
                return;
        while (!over) {
                worked(busrt_client_process(client));
                assert_true(now_usec() < until);
        }
        /* Without the method there was nobody to cancel it. */
        assert_true(memory.failed || counter->n_freed == 1);
        assert_true(memory.failed || counter->at == N_ITEMS + 1);
}

struct more {
        int done, result;
};

static void note_more(busrt_fetch *f, int result, const busrt_rpc_error *error, void *userdata)
{
        *(struct more *)userdata = (struct more){1, result};
}

static void take(void)
{
        struct more more = {0};
        busrt_fetch *f = NULL;
        const void *data;
        size_t len;

        if (!worked(busrt_fetch_open(client, "you", "open", NULL, 0, &cursor_methods, PATIENCE,
                                     NULL, &f)))
                return;
        worked(busrt_fetch_set_bulk(f, 3));
        for (unsigned n = 0; n < 3;)
                n += worked(busrt_fetch_item(f, PATIENCE, NULL, &data, &len));
        if (worked(busrt_fetch_more(f, PATIENCE, note_more, &more))) {
                uint64_t until = now_usec() + PATIENCE;

                while (!more.done) {
                        worked(busrt_client_process(client));
                        assert_true(now_usec() < until);
                }
                assert_int_equal(more.result, 3);
                assert_int_equal(busrt_fetch_item(f, 0, NULL, &data, &len), 1);
        }
        worked(busrt_fetch_cancel(f));
        busrt_fetch_free(f);
}

static void run_script(struct fake *fake)
{
        struct counter counter = {.total = 100};
        const busrt_method methods[] = {{"open", open_counter, &counter, 0}};

        if (!worked(busrt_client_new("me", &client)))
                return;
        worked(busrt_client_set_ping_interval(client, 0));
        worked(busrt_client_set_timeout(client, PATIENCE));
        worked(busrt_client_set_max_cursors(client, 5, 10));
        worked(busrt_client_add_cursor_methods(client, &cursor_methods));
        if (worked(busrt_client_add_methods(client, methods, 1)) &&
            worked(busrt_client_connect(client, fake_address(fake)))) {
                give(&counter);
                take();
                worked(busrt_client_send(client, "you", IOV("last"), ACKED, NULL));
        }
        client = busrt_client_free(client);
        assert_true(counter.n_freed <= 1);
        assert_true(counter.n_freed == 1 || memory.failed);
}

static void no_memory_for_cursors(void **state)
{
        size_t n_fds = count_fds(), n_live = memory.n_live, n;

        for (n = 0, memory.failed = true; n <= 1 || memory.failed; n++) {
                struct fake *fake = fake_start(FAKE_UNIX, both_sides, NULL);

                memory_fail_in(n);
                run_script(fake);
                memory.fail_in = 0;
                fake_stop(fake);
                assert_int_equal(memory.n_live, n_live);
                assert_int_equal(count_fds(), n_fds);
        }
        print_message("%zu allocations, each of which failed once\n", n - 2);
        assert_true(n > 20);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(no_memory_for_cursors),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
