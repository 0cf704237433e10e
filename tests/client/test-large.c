/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Promise: 1 MB and 64 MB travel both ways, as messages, calls and results. A large body is read
 * into the memory that its frame shows: there is no second copy of it.
 */
#include <malloc.h>

#include "client-bed.h"

#define MB ((size_t)1000 * 1000)
#define PIECES 3000 /* more than one writev() takes */
#define NAME "you"

static const size_t sizes[] = {1 * MB, 64 * MB};

/* A pattern that no shift leaves as it is. */
static uint8_t pattern[MB];

static int make_pattern(void **state)
{
        for (size_t i = 0; i < sizeof(pattern); i++)
                pattern[i] = (uint8_t)(i * 7 + i / 251 + i / 65521);
        return 0;
}

static bool is_pattern(const uint8_t *p, size_t len)
{
        for (size_t at = 0; at < len; at += sizeof(pattern))
                if (memcmp(p + at, pattern, MIN(len - at, sizeof(pattern))) != 0)
                        return false;
        return true;
}

/* In pieces that lie in the pattern, and whose cuts are nowhere round. */
static size_t cut(struct iovec *iov, size_t n, size_t len)
{
        size_t at = 0, used = 0;

        while (at < len) {
                size_t piece = len / (n - 1) + 1, in = at % sizeof(pattern);

                piece = MIN(MIN(piece, len - at), sizeof(pattern) - in);
                iov[used++] = (struct iovec){pattern + in, piece};
                at += piece;
        }
        return used;
}

/* --- To the broker --- */

static void expect_pattern(struct fake *f, void *userdata)
{
        size_t size = *(const size_t *)userdata;
        struct fake_frame frame;

        fake_handshake(f);
        for (unsigned i = 0; i < 2; i++) {
                frame = fake_frame(f);
                if (frame.length != sizeof(NAME) + size)
                        fake_wrong(f, "another length");
                if (!is_pattern(frame.body + sizeof(NAME), size))
                        fake_wrong(f, "other bytes");
                fake_ack(f, frame.op, 1);
        }
}

static void large_payloads_arrive(enum fake_net net)
{
        static struct iovec iov[PIECES + 128];

        for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
                _cleanup_client_ busrt_client *c = NULL;
                struct fake *fake = fake_start(net, expect_pattern, (void *)&sizes[i]);
                size_t n = cut(iov, 2 + sizes[i] / sizeof(pattern), sizes[i]);
                _cleanup_op_ busrt_op *op = NULL;

                c = connected_client(fake);
                assert_int_equal(busrt_client_set_timeout(c, DEADLINE), 0);
                assert_int_equal(busrt_client_send(c, NAME, iov, n, BUSRT_QOS_PROCESSED, NULL), 0);
                n = cut(iov, PIECES, sizes[i]);
                assert_int_equal(busrt_client_send(c, NAME, iov, n, BUSRT_QOS_PROCESSED, &op), 0);
                assert_int_equal(busrt_op_wait(op, DEADLINE), 0);
                fake_stop(fake);
        }
}

static void large_payloads_to_a_unix_socket(void **state)
{
        large_payloads_arrive(FAKE_UNIX);
}

static void large_payloads_to_tcp(void **state)
{
        large_payloads_arrive(FAKE_TCP);
}

/* --- From the broker --- */

static void send_pattern(struct fake *f, size_t size)
{
        for (size_t at = 0; at < size; at += sizeof(pattern))
                fake_send(f, pattern, MIN(size - at, sizeof(pattern)));
}

static void deliver_pattern(struct fake *f, void *userdata)
{
        size_t size = *(const size_t *)userdata;

        fake_handshake(f);
        for (unsigned i = 0; i < 2; i++) {
                fake_deliver(f, 0x12, LITERAL("you\0before"));
                fake_header(f, 0x01, (uint32_t)(sizeof(NAME) + 2 + size), 0);
                fake_send(f, LITERAL(NAME "\0t\0"));
                send_pattern(f, size);
                fake_deliver(f, 0x12, LITERAL("you\0after"));
        }
        fake_acknowledge_all(f);
}

static void read_small(busrt_client *c, const char *text)
{
        _cleanup_frame_ busrt_frame *frame = NULL;
        size_t len;

        assert_int_equal(busrt_client_read(c, DEADLINE, &frame), 0);
        assert_memory_equal(busrt_frame_get_payload(frame, &len), text, strlen(text));
        assert_int_equal(len, strlen(text));
}

static busrt_frame *read_large(busrt_client *c, size_t size)
{
        busrt_frame *frame = NULL;
        const uint8_t *payload;
        size_t len;

        assert_int_equal(busrt_client_read(c, DEADLINE, &frame), 0);
        payload = busrt_frame_get_payload(frame, &len);
        assert_int_equal(len, size);
        assert_true(is_pattern(payload, len));
        assert_string_equal(busrt_frame_get_topic(frame), "t");
        return frame;
}

static void large_frames_outlive_all(void **state)
{
        for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
                busrt_client *c;
                struct fake *fake = fake_start(FAKE_UNIX, deliver_pattern, (void *)&sizes[i]);
                busrt_frame *first, *second, *again;
                const void *payload;

                c = connected_client(fake);
                read_small(c, "before");
                first = read_large(c, sizes[i]);
                read_small(c, "after");
                read_small(c, "before");
                second = read_large(c, sizes[i]);
                read_small(c, "after");
                payload = busrt_frame_get_payload(first, NULL);
                again = busrt_frame_ref(first);
                assert_ptr_equal(busrt_frame_get_payload(again, NULL), payload);
                busrt_client_free(c);
                fake_stop(fake);
                busrt_frame_unref(first);
                assert_true(is_pattern(busrt_frame_get_payload(again, NULL), sizes[i]));
                assert_true(is_pattern(busrt_frame_get_payload(second, NULL), sizes[i]));
                busrt_frame_unref(again);
                busrt_frame_unref(second);
        }
}

/* --- Without a copy --- */

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define UNDER_SANITIZER 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define UNDER_SANITIZER 1
#endif
#endif

#ifndef UNDER_SANITIZER
/* The most that was resident at once since the last look, in bytes. */
static size_t peak_memory(void)
{
        size_t kib = 0;
        char line[128];
        FILE *f = fopen("/proc/self/status", "re");

        assert_non_null(f);
        while (fgets(line, sizeof(line), f))
                if (sscanf(line, "VmHWM: %zu", &kib) == 1)
                        break;
        fclose(f);
        f = fopen("/proc/self/clear_refs", "we");
        if (!f || fputs("5", f) < 0 || fclose(f) != 0)
                skip();
        return kib << 10;
}

static void there_is_one_copy_in_memory(void **state)
{
        _cleanup_client_ busrt_client *c = NULL;
        struct fake *fake = fake_start(FAKE_UNIX, deliver_pattern, (void *)&sizes[1]);
        size_t before;

        (void)mallopt(M_PERTURB, 0); /* meson's MALLOC_PERTURB_ touches all that is taken */
        c = connected_client(fake);
        read_small(c, "before");
        (void)peak_memory();
        before = peak_memory();
        busrt_frame_unref(read_large(c, sizes[1]));
        assert_true(peak_memory() < before + sizes[1] + 16 * MB);
        fake_stop(fake);
}
#endif

/* --- Calls --- */

static void serve_pattern(struct fake *f, void *userdata)
{
        size_t size = *(const size_t *)userdata;
        struct fake_frame call;
        uint32_t id;

        fake_handshake(f);
        call = fake_frame(f);
        id = fake_call_id(f, &call);
        if (call.length != sizeof(NAME) + 7 + size ||
            !is_pattern(call.body + sizeof(NAME) + 7, size))
                fake_wrong(f, "other params");
        fake_ack(f, call.op, 1);
        fake_header(f, 0x12, (uint32_t)(sizeof(NAME) + 5 + size), 0);
        fake_send(f, LITERAL(NAME "\0\x11"));
        fake_send(f, &id, sizeof(id));
        send_pattern(f, size);
        fake_acknowledge_all(f);
}

static void large_params_and_results(void **state)
{
        static struct iovec iov[PIECES + 128];

        for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
                _cleanup_client_ busrt_client *c = NULL;
                _cleanup_frame_ busrt_frame *reply = NULL;
                struct fake *fake = fake_start(FAKE_UNIX, serve_pattern, (void *)&sizes[i]);
                size_t n = cut(iov, PIECES, sizes[i]), len;
                const uint8_t *result;

                c = connected_client(fake);
                assert_int_equal(busrt_client_call(c, NAME, "m", iov, n, 0, DEADLINE, NULL, &reply),
                                 0);
                result = busrt_frame_get_payload(reply, &len);
                assert_int_equal(len, sizes[i]);
                assert_true(is_pattern(result, len));
                fake_stop(fake);
        }
}

/* The limit itself goes, one byte more does not. */
static void the_limit_is_exact(void **state)
{
        _cleanup_client_ busrt_client *c = quiet_client("me");
        size_t size = MB;
        struct fake *fake = fake_start(FAKE_UNIX, expect_pattern, &size);
        struct iovec iov[2] = {{pattern, MB}, {pattern, 1}};

        assert_int_equal(busrt_client_set_max_frame_size(c, sizeof(NAME) + MB), 0);
        assert_int_equal(busrt_client_connect(c, fake_address(fake)), 0);
        assert_int_equal(busrt_client_send(c, NAME, iov, 2, BUSRT_QOS_PROCESSED, NULL), -EMSGSIZE);
        assert_int_equal(busrt_client_send(c, NAME, iov, 1, BUSRT_QOS_PROCESSED, NULL), 0);
        assert_int_equal(busrt_client_send(c, NAME, iov, 1, BUSRT_QOS_PROCESSED, NULL), 0);
        fake_stop(fake);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(large_payloads_to_a_unix_socket),
                cmocka_unit_test(large_payloads_to_tcp),
                cmocka_unit_test(large_frames_outlive_all),
                cmocka_unit_test(large_params_and_results),
                cmocka_unit_test(the_limit_is_exact),
#ifndef UNDER_SANITIZER
                cmocka_unit_test(there_is_one_copy_in_memory),
#endif
        };

        return cmocka_run_group_tests(tests, make_pattern, NULL);
}
