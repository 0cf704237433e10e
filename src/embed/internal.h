/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libbusrt-broker inside. The engine routes; around it are a loop that accepts connections and
 * tells of events, served by a thread of its own or by the program, the listeners, and the streams
 * of clients in this process. Each such stream holds the broker's memory, which the engine lives
 * in: so a client may outlast it.
 */
#pragma once

#include <bsd/sys/queue.h>
#include <pthread.h>
#include <stdatomic.h>

#include <busrt/broker.h>

#include "basic/clock.h"
#include "basic/macro.h"
#include "broker-rpc/broker-rpc.h"
#include "engine/engine.h"

#define PUBLIC __attribute__((visibility("default")))

enum broker_state {
        BROKER_NEW,
        BROKER_STARTED, /* threads of its own */
        BROKER_SERVED,  /* by the program's loop */
        BROKER_ENDING,
};

LIST_HEAD(listener_list, listener);

struct busrt_broker {
        atomic_uint refs;     /* the program's, and one of each client in this process */
        pthread_mutex_t lock; /* of the state, the configuration, the listeners */
        enum broker_state state;
        struct engine *engine; /* NULL: not made yet; then fixed */
        struct engine_config config;
        struct broker_rpc *rpc;
        struct listener_list listeners;

        int epoll_fd; /* the loop: listeners, the engine's events, and the engine itself where the
                         program serves it */
        int wake_fd;  /* the loop has changed, or ends */
        uint64_t retry_at; /* when listeners that look away look again; NSEC_INFINITY: none does.
                              Atomic, the loop's to change */
        bool ending;       /* atomic: the loop's thread is to end */
        pthread_t thread;

        busrt_broker_access_handler on_question;
        void *on_question_data;
        busrt_broker_event_handler on_event;
        void *on_event_data;
};

/* broker.c */
/* The engine, which is made when it is first needed, by what has been set until then. */
int broker_need_engine(busrt_broker *b);
busrt_broker *broker_ref(busrt_broker *b);
busrt_broker *broker_unref(busrt_broker *b);
/* Runs fn with the bus in hand. False: there is no engine yet, and so nobody. */
bool broker_visit(busrt_broker *b, void (*fn)(struct engine *engine, void *userdata),
                  void *userdata);
/* As the public interface tells them. */
busrt_broker_peer broker_peer(enum transport_kind kind, uid_t uid, gid_t gid, pid_t pid,
                              const char *source);

/* listen.c: all on the loop's thread, or with the lock. */
/* Accepts what there is, within bounds. */
void listener_accept(struct listener *l, uint32_t revents);
void listeners_retry(busrt_broker *b);
void listeners_free(busrt_broker *b);

/* loop.c */
/* It has something new to look at. */
void loop_wake(busrt_broker *b);
void *loop_main(void *broker);
/* An event of a listener, and of a connection that it refused. */
void loop_tell_refused(busrt_broker *b, const char *name, int error);
void loop_tell_listener(busrt_broker *b, const char *name, const char *detail);

/* guard.c: the engine asks the program. */
void guard_attach(busrt_broker *b);
