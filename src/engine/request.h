/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What other threads ask of the engine. Requests are carried out in their order, by the first
 * worker, between the frames of its pass.
 */
#pragma once

#include <bsd/sys/queue.h>
#include <pthread.h>

#include "engine/engine.h"

struct session;
struct worker;

struct request {
        STAILQ_ENTRY(request) link;
        enum request_type {
                REQUEST_ADOPT,
                REQUEST_DISCONNECT,
                REQUEST_CONFIGURE,
                REQUEST_SEND,
                REQUEST_REPLY,
                REQUEST_WARN,
                REQUEST_STOP,
                REQUEST_QUIESCE,
                REQUEST_INSPECT,
        } type;
        struct session *session;
        struct inspection *inspection;
        uint64_t id;
        struct engine_config config;
        enum engine_send_kind kind;
        bool announce, realtime;
        size_t target_len, payload_len;
        char data[]; /* target, payload; of a reply its head and body */
};
STAILQ_HEAD(request_list, request);

struct requests {
        pthread_mutex_t lock;
        struct request_list list;
};

int requests_init(struct requests *requests, bool inherit);
void requests_done(struct requests *requests);

int request_new(enum request_type type, size_t data_size, struct request **ret);
/* From any thread. The engine frees the request. */
void request_post(struct engine *engine, struct request *request);
/* On the first worker: carries out what was posted. */
void requests_serve(struct engine *engine);
