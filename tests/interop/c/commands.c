/* SPDX-License-Identifier: Apache-2.0 */
#include "commands.h"

#include <endian.h>
#include <err.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <busrt/rpc.h>

#include "basic/macro.h"
#include "connection.h"
#include "cursors.h"

#define CALL_ERROR_BASE (-32000) /* less the broker's code: how all libraries tell it of a call */

/* --- Bus operations. A QoS of "processed" makes the call wait for the acknowledgement. --- */

static json_object *change_topics(json_object *order,
                                  int (*change)(busrt_client *client, const char *const *topics,
                                                size_t n_topics, unsigned qos, busrt_op **ret_op))
{
        unsigned qos = order_number(order, "qos");
        size_t n;
        _cleanup_free_ const char **topics = order_topics(order, &n);

        return answer_ack(change(connection_client(order, "h"), topics, n, qos, NULL), qos);
}

static json_object *subscribe(json_object *order)
{
        return change_topics(order, busrt_client_subscribe);
}

static json_object *unsubscribe(json_object *order)
{
        return change_topics(order, busrt_client_unsubscribe);
}

static json_object *exclude(json_object *order)
{
        return change_topics(order, busrt_client_exclude);
}

static json_object *unexclude(json_object *order)
{
        return change_topics(order, busrt_client_unexclude);
}

static json_object *send_to(json_object *order, const char *target,
                            int (*send)(busrt_client *client, const char *target,
                                        const struct iovec *iov, size_t n_iov, unsigned qos,
                                        busrt_op **ret_op))
{
        unsigned qos = order_number(order, "qos");
        struct iovec iov;
        _cleanup_free_ uint8_t *payload = order_payload(order, &iov.iov_len);

        iov.iov_base = payload;
        return answer_ack(send(connection_client(order, "h"), target, &iov, 1, qos, NULL), qos);
}

static json_object *send_message(json_object *order)
{
        return send_to(order, order_text(order, "target"), busrt_client_send);
}

static json_object *broadcast(json_object *order)
{
        return send_to(order, order_text(order, "mask"), busrt_client_broadcast);
}

static json_object *publish(json_object *order)
{
        return send_to(order, order_text(order, "topic"), busrt_client_publish);
}

static json_object *publish_for(json_object *order)
{
        unsigned qos = order_number(order, "qos");
        struct iovec iov;
        _cleanup_free_ uint8_t *payload = order_payload(order, &iov.iov_len);

        iov.iov_base = payload;
        return answer_ack(
                busrt_client_publish_for(connection_client(order, "h"), order_text(order, "topic"),
                                         order_text(order, "receiver"), &iov, 1, qos, NULL),
                qos);
}

/* Numbered messages from first on, until one fails. Sets the operations begun. */
static int send_numbers(json_object *order, unsigned n, busrt_op **ops)
{
        busrt_client *client = connection_client(order, "h");
        const char *target = order_text(order, "target");
        unsigned qos = order_number(order, "qos");
        int r = busrt_client_cork(client), uncorked;

        for (unsigned i = 0; r >= 0 && i < n; i++) {
                uint32_t number = htole32(i);

                r = busrt_client_send(client, target, &(struct iovec){&number, sizeof(number)}, 1,
                                      qos, qos & BUSRT_QOS_PROCESSED ? &ops[i] : NULL);
        }
        uncorked = busrt_client_uncork(client);
        return r < 0 ? r : uncorked;
}

/* Sends without waiting in between, then waits for all acknowledgements. */
static json_object *burst(json_object *order)
{
        unsigned n = order_number(order, "count");
        _cleanup_free_ busrt_op **ops = calloc(n, sizeof(*ops));
        int r;

        if (!ops)
                return answer_failure(-ENOMEM);
        r = send_numbers(order, n, ops);
        for (unsigned i = 0; i < n && ops[i]; i++) {
                if (r >= 0)
                        r = busrt_op_wait(ops[i], BUSRT_TIMEOUT_DEFAULT);
                busrt_op_unref(ops[i]);
        }
        return answer_ack(r, order_number(order, "qos"));
}

/* --- RPC --- */

static json_object *notify(json_object *order)
{
        return send_to(order, order_text(order, "target"), busrt_client_notify);
}

static json_object *call0(json_object *order)
{
        unsigned qos = order_number(order, "qos");
        struct iovec iov;
        _cleanup_free_ uint8_t *payload = order_payload(order, &iov.iov_len);

        iov.iov_base = payload;
        return answer_ack(busrt_client_call0(connection_client(order, "h"),
                                             order_text(order, "target"),
                                             order_text(order, "method"), &iov, 1, qos, NULL),
                          qos);
}

static json_object *answer_call_failure(int result, const busrt_rpc_error *error)
{
        int code = wire_code(result);

        if (result == -EREMOTEIO)
                return answer_error(error->code, error->data ? error->data : "");
        return answer_error(code ? CALL_ERROR_BASE - code : 0, busrt_strerror(result));
}

static json_object *answer_result(busrt_frame *reply)
{
        json_object *o = json_object_new_object();
        size_t len;
        const void *result = busrt_frame_get_payload(reply, &len);

        json_object_object_add(o, "result", payload_describe(result, len));
        return o;
}

static json_object *call(json_object *order)
{
        busrt_rpc_error error = BUSRT_RPC_ERROR_INIT;
        json_object *answer;
        busrt_frame *reply;
        struct iovec iov;
        _cleanup_free_ uint8_t *payload = order_payload(order, &iov.iov_len);
        int r;

        iov.iov_base = payload;
        r = busrt_client_call(connection_client(order, "h"), order_text(order, "target"),
                              order_text(order, "method"), &iov, 1,
                              order_number(order, "qos") & BUSRT_QOS_REALTIME,
                              BUSRT_TIMEOUT_DEFAULT, &error, &reply);
        if (r < 0) {
                answer = answer_call_failure(r, &error);
                busrt_rpc_error_done(&error);
        } else {
                answer = answer_result(reply);
                busrt_frame_unref(reply);
        }
        return answer;
}

/* --- Connections --- */

static json_object *ping(json_object *order)
{
        int r = busrt_client_ping(connection_client(order, "h"));

        return r < 0 ? answer_failure(r) : json_object_new_object();
}

static json_object *connected(json_object *order)
{
        json_object *o = json_object_new_object();
        int state = busrt_client_get_state(connection_client(order, "h"));

        json_object_object_add(o, "connected",
                               json_object_new_boolean(state == BUSRT_STATE_CONNECTED));
        return o;
}

/* --- All of them --- */

static const struct {
        const char *what;
        json_object *(*run)(json_object *order);
} commands[] = {
        {"broadcast", broadcast},
        {"burst", burst},
        {"call", call},
        {"call0", call0},
        {"close", connection_close},
        {"connect", connection_open},
        {"connected", connected},
        {"exclude", exclude},
        {"exclude-bulk", exclude},
        {"notify", notify},
        {"ping", ping},
        {"publish", publish},
        {"publish-for", publish_for},
        {"reconnect", connection_reopen},
        {"secondary", connection_open_secondary},
        {"send", send_message},
        {"subscribe", subscribe},
        {"subscribe-bulk", subscribe},
        {"take", cursor_take},
        {"unexclude", unexclude},
        {"unexclude-bulk", unexclude},
        {"unsubscribe", unsubscribe},
        {"unsubscribe-bulk", unsubscribe},
};

json_object *command_run(json_object *order)
{
        const char *what = order_text(order, "do");

        for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
                if (strcmp(commands[i].what, what) == 0)
                        return commands[i].run(order);
        errx(EXIT_FAILURE, "unknown order %s", what);
}
