/* SPDX-License-Identifier: Apache-2.0 */
/* What the tests of methods and of their requests share: a server with a loop of its own, and a
 * caller, on a busrtd. */
#pragma once

#include <pthread.h>

#include "client-bed.h"
#include "real-broker.h"

static struct real_broker *broker;

static inline busrt_client *joined(const char *name)
{
        busrt_client *c;

        assert_int_equal(busrt_client_new(name, &c), 0);
        assert_int_equal(busrt_client_connect(c, real_broker_path(broker)), 0);
        return c;
}

/* A server with a loop of its own, and a caller. */
struct bed {
        busrt_client *server, *caller;
        pthread_t loop;
        int result;
};

static inline void *run_loop(void *userdata)
{
        struct bed *b = userdata;

        b->result = busrt_client_run(b->server);
        return NULL;
}

static inline void bed_start(struct bed *b, const busrt_method *methods, size_t n)
{
        assert_int_equal(busrt_client_new("server", &b->server), 0);
        if (n > 0)
                assert_int_equal(busrt_client_add_methods(b->server, methods, n), 0);
        assert_int_equal(busrt_client_connect(b->server, real_broker_path(broker)), 0);
        b->caller = joined("caller");
        assert_int_equal(pthread_create(&b->loop, NULL, run_loop, b), 0);
}

static inline void bed_stop(struct bed *b)
{
        assert_int_equal(busrt_client_disconnect(b->server), 0);
        assert_int_equal(pthread_join(b->loop, NULL), 0);
        assert_int_equal(b->result, -ESHUTDOWN);
        busrt_client_free(b->server);
        busrt_client_free(b->caller);
}

/* 0, or the code of the error reply; text, where it is wanted, has room for 64. */
static inline int call_code(busrt_client *c, const char *method, char *text)
{
        busrt_rpc_error error = BUSRT_RPC_ERROR_INIT;
        int r = busrt_client_call(c, "server", method, IOV("ab"), 0, DEADLINE, &error, NULL);
        int code = error.code;

        if (text)
                snprintf(text, 64, "%s", error.data ? error.data : "");
        busrt_rpc_error_done(&error);
        assert_int_equal(r, code ? -EREMOTEIO : 0);
        return code;
}

/* A method: the params are the result. */
static inline int echo(busrt_client *c, busrt_request *request, void *userdata)
{
        size_t len;
        const void *params = busrt_request_get_params(request, &len);
        struct iovec iov = {(void *)params, len};

        return busrt_request_reply(request, &iov, 1);
}

static inline int start(void **state)
{
        broker = real_broker_start();
        return 0;
}

static inline int stop(void **state)
{
        broker = real_broker_stop(broker);
        return 0;
}
