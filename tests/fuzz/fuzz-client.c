/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A broker that sends any bytes to a client of libbusrt, while the program calls what it likes. The
 * input is a list of actions: some feed the client bytes, or an acknowledgement or a reply to what
 * it sent last; the others are calls. The first byte says whether the handshake is made for it, and
 * how small the client's limits are. Whatever comes, no call blocks, what a frame shows can be
 * read, all that waits has its result in the end, and nothing is left over.
 */
#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <busrt/client.h>
#include <busrt/rpc.h>
#include <busrt/topics.h>

#define CHECK(condition)                                                                           \
        do {                                                                                       \
                if (!(condition)) {                                                                \
                        fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);            \
                        abort();                                                                   \
                }                                                                                  \
        } while (0)

#define N_SLOTS 4
#define PROCESSED 0x40

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* --- The input --- */

struct input {
        const uint8_t *p, *end;
};

static uint8_t take(struct input *in)
{
        return in->p < in->end ? *in->p++ : 0;
}

static struct iovec take_bytes(struct input *in)
{
        size_t len = take(in), left = (size_t)(in->end - in->p);
        struct iovec iov = {(void *)(uintptr_t)in->p, len < left ? len : left};

        in->p += iov.iov_len;
        return iov;
}

/* --- The state --- */

static struct {
        busrt_client *client;
        int fd;           /* the broker's end */
        uint8_t reaction; /* of handlers */
        busrt_op *ops[N_SLOTS];
        busrt_call *calls[N_SLOTS];
        busrt_frame *frames[N_SLOTS];
        busrt_request *requests[N_SLOTS];
        uint32_t last_op, last_call;
        unsigned n_called, n_ended;
        volatile uint8_t sum; /* of all that was readable */
} s;

/* --- What the broker reads and writes --- */

static uint32_t le32(const uint8_t *p)
{
        return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

/* Whole frames only: what the socket did not take in one go is not looked for. */
static void listen_to_client(void)
{
        static uint8_t buf[1 << 16];
        ssize_t n = recv(s.fd, buf, sizeof(buf), MSG_DONTWAIT);
        size_t at = 0, len;

        for (; n > 0 && (size_t)n - at >= 9; at += 9 + len) {
                const uint8_t *body = buf + at + 9, *end;

                len = buf[at + 4] ? le32(buf + at + 5) : 0;
                if ((size_t)n - at - 9 < len)
                        return;
                if (buf[at + 4] & PROCESSED)
                        s.last_op = le32(buf + at);
                end = len > 0 ? memchr(body, 0, len) : NULL;
                if (end && (size_t)(body + len - end) >= 6 && end[1] == 1)
                        s.last_call = le32(end + 2);
        }
}

static void feed(const void *bytes, size_t len)
{
        (void)!send(s.fd, bytes, len, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static void feed_ack(uint8_t code)
{
        uint8_t ack[6] = {[0] = 0xfe, [5] = code};

        listen_to_client();
        memcpy(ack + 1, &s.last_op, 4);
        feed(ack, sizeof(ack));
}

static void feed_reply(struct input *in)
{
        static const char *const senders[] = {"you", "yo", ".broker", ""};
        const char *sender = senders[take(in) % 4];
        uint8_t frame[6 + 8 + 5 + 255] = {0x12}, kind = take(in) % 2 ? 0x11 : 0x12;
        struct iovec bytes = take_bytes(in);
        size_t len = strlen(sender) + 1;

        listen_to_client();
        memcpy(frame + 6, sender, len);
        frame[6 + len] = kind;
        memcpy(frame + 7 + len, &s.last_call, 4);
        memcpy(frame + 11 + len, bytes.iov_base, bytes.iov_len);
        len += 5 + bytes.iov_len;
        frame[1] = (uint8_t)len;
        frame[2] = (uint8_t)(len >> 8);
        feed(frame, 6 + len);
}

/* --- What the program sees --- */

static void read_all(const void *bytes, size_t len)
{
        const uint8_t *p = bytes;

        for (size_t i = 0; i < len; i++)
                s.sum = (uint8_t)(s.sum + p[i]);
}

static void look_at(const busrt_frame *f)
{
        size_t len;
        const void *payload = busrt_frame_get_payload(f, &len);
        enum busrt_kind kind = busrt_frame_get_kind(f);

        CHECK(kind >= BUSRT_KIND_MESSAGE && kind <= BUSRT_KIND_REPLY);
        CHECK((busrt_frame_get_topic(f) != NULL) == (kind == BUSRT_KIND_PUBLICATION));
        read_all(busrt_frame_get_sender(f), strlen(busrt_frame_get_sender(f)) + 1);
        if (busrt_frame_get_topic(f))
                read_all(busrt_frame_get_topic(f), strlen(busrt_frame_get_topic(f)) + 1);
        read_all(payload, len);
        CHECK(busrt_frame_is_realtime(f) <= 1);
}

static void on_frame(busrt_client *c, busrt_frame *frame, void *userdata)
{
        busrt_frame **slot = &s.frames[s.reaction % N_SLOTS];

        look_at(frame);
        CHECK(busrt_client_process(c) == -EDEADLK);
        busrt_frame_unref(*slot);
        *slot = busrt_frame_ref(frame);
        if (s.reaction & 0x80) {
                s.client = busrt_client_free(c);
                s.reaction = 0;
        } else if (s.reaction & 0x40)
                (void)busrt_client_set_frame_handler(c, NULL, NULL);
}

static void on_note(busrt_client *c, const char *sender, const void *payload, size_t len,
                    void *userdata)
{
        read_all(sender, strlen(sender) + 1);
        read_all(payload, len);
        if (s.reaction & 0x20)
                (void)busrt_client_disconnect(c);
}

static void on_request(busrt_client *c, busrt_request *request, void *userdata)
{
        busrt_request **slot = &s.requests[s.reaction % N_SLOTS];
        struct iovec iov;

        iov.iov_base = (void *)(uintptr_t)busrt_request_get_params(request, &iov.iov_len);
        read_all(iov.iov_base, iov.iov_len);
        read_all(busrt_request_get_method(request), strlen(busrt_request_get_method(request)) + 1);
        read_all(busrt_request_get_sender(request), strlen(busrt_request_get_sender(request)) + 1);
        switch (s.reaction >> 2 & 3) {
        case 0:
                (void)busrt_request_reply(request, &iov, 1);
                break;
        case 1:
                (void)busrt_request_reply_error(request, -1, iov.iov_base, iov.iov_len);
                break;
        case 2:
                busrt_request_unref(*slot);
                *slot = busrt_request_ref(request);
                break;
        }
}

static int on_method(busrt_client *c, busrt_request *request, void *userdata)
{
        on_request(c, request, NULL);
        return s.reaction & 0x10 ? -EACCES : s.reaction & 0x20 ? BUSRT_RPC_PARSE : 0;
}

static void on_end(busrt_client *c, busrt_request *request, int result, void *userdata)
{
        CHECK(result == -ETIMEDOUT || result == -ECANCELED || result == -ECONNRESET);
        CHECK(busrt_request_reply(request, NULL, 0) < 0);
}

static void on_topic(busrt_client *c, busrt_frame *frame, const char *mask, void *userdata)
{
        const char *part;
        size_t len;

        CHECK(busrt_topic_matches(mask, busrt_frame_get_topic(frame)) == 1);
        if (busrt_topic_get_part(mask, busrt_frame_get_topic(frame), 0, &part, &len) == 0)
                read_all(part, len);
        if (s.reaction & 0x10)
                (void)busrt_client_remove_topic_handler(c, mask);
        on_frame(c, frame, NULL);
}

static void on_reply(busrt_client *c, int result, const busrt_rpc_error *error, busrt_frame *reply,
                     void *userdata)
{
        s.n_ended++;
        CHECK((result == 0) == (reply != NULL) && (result == -EREMOTEIO) == (error != NULL));
        if (reply)
                look_at(reply);
        if (error && error->data)
                read_all(error->data, error->len + 1);
}

static void on_op(busrt_op *op, int result, void *userdata)
{
        CHECK(result <= 0 && result != -EINPROGRESS);
}

/* --- What the program does --- */

static const char *const names[] = {"you", ".broker", "a/#", "\xff"};

static void send_something(struct input *in)
{
        uint8_t what = take(in);
        unsigned qos = (what & 3) | BUSRT_QOS_DONTWAIT;
        const char *name = names[take(in) % 4];
        struct iovec iov = take_bytes(in);
        busrt_op **slot = &s.ops[what >> 6], **op = qos & BUSRT_QOS_PROCESSED ? slot : NULL;
        int r = 0;

        *slot = busrt_op_unref(*slot);
        switch (what >> 2 & 7) {
        case 0:
                r = busrt_client_send(s.client, name, &iov, 1, qos, op);
                break;
        case 1:
                r = busrt_client_publish(s.client, name, &iov, 1, qos, op);
                break;
        case 2:
                r = busrt_client_broadcast(s.client, name, &iov, 1, qos, op);
                break;
        case 3:
                r = busrt_client_publish_for(s.client, name, "you", &iov, 1, qos, op);
                break;
        case 4:
                r = busrt_client_subscribe(s.client, names, 4, qos, op);
                break;
        case 5:
                r = busrt_client_exclude(s.client, names, 2, qos, op);
                break;
        case 6:
                r = busrt_client_call0(s.client, name, name, &iov, 1, qos, op);
                break;
        case 7:
                r = busrt_client_notify(s.client, name, &iov, 1, qos, op);
                break;
        }
        CHECK(r <= 0 && (r == 0 || !*slot));
}

static void use_op(uint8_t how)
{
        busrt_op **slot = &s.ops[how % N_SLOTS];

        if (!*slot)
                return;
        switch (how >> 2 & 3) {
        case 0:
                CHECK(busrt_op_wait(*slot, 0) <= 0);
                break;
        case 1:
                CHECK(busrt_op_result(*slot) <= 0);
                break;
        case 2:
                (void)busrt_op_set_handler(*slot, on_op, NULL);
                break;
        case 3:
                *slot = busrt_op_unref(*slot);
        }
}

static void call(struct input *in)
{
        uint8_t how = take(in);
        busrt_call **slot = &s.calls[how % N_SLOTS];
        busrt_rpc_error error = BUSRT_RPC_ERROR_INIT;
        busrt_frame *reply = NULL;
        int r;

        if (how & 4) {
                r = busrt_client_call(s.client, names[how >> 3 & 1], "m", NULL, 0,
                                      BUSRT_QOS_DONTWAIT, 0, &error, &reply);
                CHECK(r < 0 || reply);
                busrt_frame_unref(reply);
                busrt_rpc_error_done(&error);
                return;
        }
        *slot = busrt_call_unref(*slot);
        r = busrt_client_call_async(s.client, names[how >> 3 & 1], "m", NULL, 0, BUSRT_QOS_DONTWAIT,
                                    how & 0x10 ? 0 : BUSRT_TIMEOUT_INFINITE, on_reply, NULL, slot);
        s.n_called += r == 0;
}

static void cancel(uint8_t how)
{
        busrt_call **slot = &s.calls[how % N_SLOTS];

        if (*slot && how & 4 && busrt_call_cancel(*slot) == 0)
                s.n_ended++;
        *slot = busrt_call_unref(*slot);
}

static void read_frame(uint8_t how)
{
        busrt_frame *frame;

        if (busrt_client_read(s.client, 0, &frame) != 0)
                return;
        look_at(frame);
        busrt_frame_unref(s.frames[how % N_SLOTS]);
        s.frames[how % N_SLOTS] = frame;
}

static void set_tables(uint8_t how)
{
        static const busrt_method methods[] = {{"m", on_method, NULL, 0},
                                               {"n", on_method, NULL, 1}};

        if (how & 8)
                (void)busrt_client_add_methods(s.client, methods, 2);
        else
                (void)busrt_client_remove_method(s.client, "m");
        if (how & 16)
                (void)busrt_client_add_info(s.client, "a", NULL, "v");
        if (how & 32) {
                (void)busrt_client_add_topic_handler(s.client, "a", on_topic, NULL);
                (void)busrt_client_add_topic_handler(s.client, "+/b", on_topic, NULL);
                (void)busrt_client_add_topic_handler(s.client, "a/#", on_topic, NULL);
        } else
                (void)busrt_client_remove_topic_handler(s.client, "a/#");
        if (how & 64)
                (void)busrt_client_set_max_requests(s.client, 1);
        if (how & 128)
                (void)busrt_client_set_request_timeout(s.client, 1);
}

static void set_handlers(uint8_t how)
{
        (void)busrt_client_set_frame_handler(s.client, how & 1 ? on_frame : NULL, NULL);
        (void)busrt_client_set_notification_handler(s.client, how & 2 ? on_note : NULL, NULL);
        (void)busrt_client_set_request_handler(s.client, how & 4 ? on_request : NULL, NULL);
        set_tables(how);
}

static void cork(uint8_t how)
{
        if (how % 4 == 0)
                (void)busrt_client_cork(s.client);
        else if (how % 4 == 1)
                (void)busrt_client_uncork(s.client);
        else if (how % 4 == 2)
                (void)busrt_client_flush(s.client, 0);
        else
                (void)busrt_client_ping(s.client);
}

static void use_request(uint8_t how)
{
        busrt_request **slot = &s.requests[how % N_SLOTS];

        if (how & 4)
                (void)busrt_request_reply(*slot, NULL, 0);
        if (how & 8)
                (void)busrt_request_reply_error(*slot, how, "x", 1);
        if (how & 16)
                (void)busrt_request_set_end_handler(*slot, on_end, NULL);
        if (how & 32)
                (void)busrt_request_set_timeout(*slot, how & 64 ? 0 : BUSRT_TIMEOUT_INFINITE);
        if (how & 64)
                (void)busrt_request_cancel(*slot, how & 32 ? -1 : 0);
        if (how & 128) {
                CHECK(busrt_client_cancel_requests(s.client, how & 64 ? "you" : NULL, -1) >= 0);
                CHECK(busrt_client_count_requests(s.client) >= 0);
                return; /* and keep it */
        }
        *slot = busrt_request_unref(*slot);
}

static void let_go_of_frame(uint8_t how)
{
        if (s.frames[how % N_SLOTS])
                look_at(s.frames[how % N_SLOTS]);
        s.frames[how % N_SLOTS] = busrt_frame_unref(s.frames[how % N_SLOTS]);
}

/* Whether there is a client still. */
static bool act(struct input *in)
{
        struct iovec iov;
        uint8_t what = take(in);

        switch (what % 16) {
        case 0:
        case 1:
        case 2:
                iov = take_bytes(in);
                feed(iov.iov_base, iov.iov_len);
                break;
        case 3:
                feed_ack(take(in));
                break;
        case 4:
                feed_reply(in);
                break;
        case 5:
                send_something(in);
                return true;
        case 6:
                use_op(take(in));
                return true;
        case 7:
                call(in);
                return true;
        case 8:
                cancel(take(in));
                return true;
        case 9:
                read_frame(take(in));
                return true;
        case 10:
                set_handlers(take(in));
                return true;
        case 11:
                cork(take(in));
                return true;
        case 12:
                use_request(take(in));
                return true;
        case 13:
                let_go_of_frame(take(in));
                return true;
        case 14:
                s.reaction = take(in);
                break;
        case 15:
                if (take(in) == 0xff)
                        (void)busrt_client_disconnect(s.client);
        }
        (void)busrt_client_process(s.client);
        return s.client != NULL;
}

/* --- From the beginning to the end --- */

static void join(uint8_t how, struct input *in)
{
        int fds[2];

        CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == 0);
        s.fd = fds[1];
        CHECK(busrt_client_new("me", &s.client) == 0);
        CHECK(busrt_client_set_ping_interval(s.client, 0) == 0);
        if (how & 2)
                CHECK(busrt_client_set_receive_buffer(s.client, 4096) == 0);
        if (how & 4)
                CHECK(busrt_client_set_max_frame_size(s.client, 1024) == 0);
        if (how & 8)
                CHECK(busrt_client_set_send_buffer(s.client, 4096) == 0);
        set_handlers(how >> 4);
        if (how & 1)
                feed("\xeb\1\0\1\1", 5);
        else {
                feed(in->p, (size_t)(in->end - in->p));
                CHECK(shutdown(s.fd, SHUT_WR) == 0); /* or it would be waited for */
        }
        if (busrt_client_connect_fd(s.client, fds[0]) < 0)
                close(fds[0]);
}

static void leave(void)
{
        bool alive = s.client != NULL;

        close(s.fd);
        if (alive) {
                CHECK(busrt_client_disconnect(s.client) <= 0);
                s.reaction = 0;
                while (s.client && busrt_client_process(s.client) == 1)
                        continue;
                CHECK(s.n_called == s.n_ended);
        }
        busrt_client_free(s.client);
        for (unsigned i = 0; i < N_SLOTS; i++) {
                CHECK(!s.ops[i] || busrt_op_result(s.ops[i]) != -EINPROGRESS);
                busrt_op_unref(s.ops[i]);
                busrt_call_unref(s.calls[i]);
                let_go_of_frame((uint8_t)i);
                busrt_request_unref(s.requests[i]);
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct input in = {data, data + size};
        uint8_t how = take(&in);

        memset(&s, 0, sizeof(s));
        join(how, &in);
        while (in.p < in.end && act(&in))
                continue;
        leave();
        return 0;
}
