/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libbusrt-broker: the broker inside a program.
 *
 * A broker is made, told what it shall be like, given addresses to listen at (or none), and then
 * either started, with threads of its own, or served by the program's loop: it gives a descriptor
 * to poll, a timeout and a function that does what there is to do. Clients of any process and
 * language connect to its sockets. Clients in this process are those of libbusrt, connected by
 * busrt_broker_connect(): all that client.h, rpc.h and topics.h say holds for them. What they send
 * is routed on their own thread, and reaches another such client without a system call where that
 * one is not asleep.
 *
 *      busrt_broker *broker;
 *      busrt_client *client;
 *
 *      busrt_broker_new(&broker);
 *      busrt_broker_listen(broker, "/run/plant/bus.sock", 0660);
 *      busrt_broker_start(broker);
 *      busrt_client_new_for_stream(".plant", &client);
 *      busrt_broker_connect(broker, client);
 *
 * A process may have any number of brokers; they share nothing. All functions may be called from
 * any thread unless they say otherwise, and return 0 or a negative errno: -EINVAL for NULL or a
 * value that makes no sense, -ENOMEM. Times are microseconds.
 *
 * Handlers are called with the broker in hand, or on its thread: what each may do is said there.
 * After fork(2) a child may not use its parent's brokers.
 */
#ifndef BUSRT_BROKER_H
#define BUSRT_BROKER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include <busrt/client.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct busrt_broker busrt_broker;

/* --- Made and ended --- */

/* With the defaults of busrtd(8). Nobody is connected, nothing listened at. Also -EMFILE. */
int busrt_broker_new(busrt_broker **ret);
/* Tells the clients that it shuts down, lets their queues run out for at most the timeout, closes
 * all connections, ends its threads and removes the sockets that it made. Clients in this process
 * get what waits for them, then find themselves closed (-ECONNRESET); they may be freed before or
 * afterwards. Not from a handler of
 * the broker's. Takes NULL. Returns NULL. */
busrt_broker *busrt_broker_free(busrt_broker *broker);

/* --- What it is like --- */

/* Numbers; busrtd.conf(5) has a key for each, and says more. Those marked "start" can be set only
 * before the broker has its first client or begins to work: before busrt_broker_start(),
 * _process(), _connect() and _adopt(). All others can be set at any time, and hold for clients that
 * are there, too. */
enum busrt_broker_option {
        BUSRT_BROKER_WORKERS,          /* start. Workers: threads that serve sockets; 1 */
        BUSRT_BROKER_TIMEOUT,          /* Timeout; 5 s */
        BUSRT_BROKER_BUSY_POLL,        /* BusyPollUSec; 0 */
        BUSRT_BROKER_QUEUE_FRAMES,     /* QueueFrames, of one client; 8192 */
        BUSRT_BROKER_QUEUE_BYTES,      /* QueueBytes, of one client; 16 MiB */
        BUSRT_BROKER_MEMORY,           /* QueueMemoryMax, of all; a quarter of the machine's */
        BUSRT_BROKER_MEMORY_PER_USER,  /* QueueMemoryMaxPerUser; 0: half of that */
        BUSRT_BROKER_MAX_FRAME,        /* MaxFrameSize; 64 MiB */
        BUSRT_BROKER_MAX_TOPIC_PARTS,  /* MaxTopicParts; 128 */
        BUSRT_BROKER_MAX_TOPIC_LENGTH, /* MaxTopicLength; 4096 */
        BUSRT_BROKER_SLOW_PACE,        /* SlowConsumerPaceSec; 100 ms */
        BUSRT_BROKER_SLOW_POLICY,      /* SlowConsumerPolicy; enum busrt_slow_policy */
        BUSRT_BROKER_FORCE_REGISTER,   /* ForceRegister; enum busrt_force_register */
        /* Of one user, or one address on TCP; root and this process's own user have no limit. */
        BUSRT_BROKER_MAX_CONNECTIONS,   /* MaxConnectionsPerUser; 16000 */
        BUSRT_BROKER_MAX_HANDSHAKES,    /* MaxHandshakesPerUser; 8192 */
        BUSRT_BROKER_MAX_NAMES,         /* MaxNamesPerUser; 16000 */
        BUSRT_BROKER_MAX_SUBSCRIPTIONS, /* MaxSubscriptionsPerUser; 100000 */
        BUSRT_BROKER_CONNECTION_RATE,   /* ConnectionRatePerUser, per second; 2000; 0: any */
        BUSRT_BROKER_CONNECTION_BURST,  /* ConnectionBurstPerUser; 16000 */
};

/* What is done to a receiver that stays too slow. */
enum busrt_slow_policy {
        BUSRT_SLOW_DISCONNECT,
        BUSRT_SLOW_DROP_NEWEST,
        BUSRT_SLOW_DROP_OLDEST,
};

/* May a new client have the name of one that is there? */
enum busrt_force_register {
        BUSRT_FORCE_REGISTER_NO,
        BUSRT_FORCE_REGISTER_SAME_IDENTITY,
        BUSRT_FORCE_REGISTER_ANY,
};

/* -EBUSY: too late for this one. */
int busrt_broker_set(busrt_broker *broker, enum busrt_broker_option option, uint64_t value);
int busrt_broker_get(busrt_broker *broker, enum busrt_broker_option option, uint64_t *ret);

/* --- Sockets --- */

/* Listens at an address as of busrt_client_connect() (a path, or host:port), before or after the
 * start. mode: of a UNIX socket's file, 0: as the umask has it. A stale socket file is replaced.
 * -EADDRINUSE; -EEXIST: the path is not that of a socket; -EPROTONOSUPPORT, and what socket(2),
 * bind(2) and listen(2) say. */
int busrt_broker_listen(busrt_broker *broker, const char *address, mode_t mode);
/* At a listening stream socket (of sd_listen_fds(3), say), which is the broker's on success.
 * -EBADF, -ENOTSOCK, -EINVAL: not a listening stream. */
int busrt_broker_listen_fd(busrt_broker *broker, int fd);
/* Takes a connected stream socket as one more client's; it is the broker's on success. -EBADF,
 * -ENOTSOCK; -EINVAL: not a stream; -ENOTCONN; -EDQUOT,
 * -EUSERS, -EBUSY: its user has as many connections, or unfinished ones, as it may, or connects too
 * fast. */
int busrt_broker_adopt(busrt_broker *broker, int fd);

/* --- Clients in this process --- */

/* Connects a client that is not connected yet, and registers it: at once, on this thread. Its name
 * may begin with a dot, which no other process's may: see busrt_client_new_for_stream(). Where the
 * program serves the broker on this thread, a name whose holder has just gone may be held until the
 * next turn of the loop: -ETIMEDOUT. Errors: as busrt_client_connect_stream(); -EMFILE; -ESHUTDOWN:
 * the broker is being freed. A client whose broker goes does not come back. */
int busrt_broker_connect(busrt_broker *broker, busrt_client *client);

/* --- At work --- */

/* Makes threads: one that accepts connections and tells of events, and the workers. Signals are
 * blocked in them. Once: -EALREADY; -EBUSY: the program serves it by itself. Also -EAGAIN of
 * pthread_create(3). */
int busrt_broker_start(busrt_broker *broker);

/* Or, with one worker, in the program's loop: wait until the descriptor is readable (POLLIN) or
 * that moment has come (as of busrt_client_get_timeout(): CLOCK_MONOTONIC, 0 = now, UINT64_MAX =
 * never), then process, always by one thread at a time. Clients in this process are routed to
 * meanwhile, but sockets are not read nor accepted, and nobody is timed out. */
int busrt_broker_get_fd(busrt_broker *broker);
int busrt_broker_get_timeout(busrt_broker *broker, uint64_t *ret_usec);
/* Does one bounded turn of what there is to do. -EBUSY: it was started, or has more workers. */
int busrt_broker_process(busrt_broker *broker);

/* --- Who may do what --- */

enum busrt_broker_action {
        BUSRT_ACTION_REGISTER,  /* have that name; target is NULL */
        BUSRT_ACTION_SEND,      /* send to the client of that name; also calls */
        BUSRT_ACTION_PUBLISH,   /* publish on the topic */
        BUSRT_ACTION_BROADCAST, /* send to all whose names match the mask */
        BUSRT_ACTION_SUBSCRIBE, /* hear what matches the mask */
};

/* Who a client is, by the kernel's word. */
typedef struct busrt_broker_peer {
        bool local;   /* it is in this process */
        bool has_uid; /* local, or by a UNIX socket; else by TCP */
        uid_t uid;
        gid_t gid;
        pid_t pid;          /* 0: not known */
        const char *source; /* on TCP its address and port; else NULL */
} busrt_broker_peer;

typedef struct busrt_broker_question {
        enum busrt_broker_action action;
        const busrt_broker_peer *peer;
        const char *name;   /* the client's, with a NUL */
        const char *target; /* not NUL-terminated: */
        size_t target_len;
} busrt_broker_question;

/* 0: allowed. Anything else: denied: the peer gets -EACCES where it asked for an acknowledgement,
 * and an event tells it. Called on the thread that routes, with the broker in hand: it must be
 * quick, and call nothing of a broker or its clients. What was allowed to a client may be
 * remembered for it. */
typedef int (*busrt_broker_access_handler)(busrt_broker *broker,
                                           const busrt_broker_question *question, void *userdata);
/* Without a handler everybody may everything. When: as the options that are marked "start", else
 * -EBUSY. */
int busrt_broker_set_access_handler(busrt_broker *broker, busrt_broker_access_handler handler,
                                    void *userdata);
/* The handler's answers have changed: all clients and their subscriptions are asked for anew, and
 * who may not have its name any more is disconnected. */
int busrt_broker_access_changed(busrt_broker *broker);

/* --- What happens --- */

enum busrt_broker_event_type {
        BUSRT_BROKER_EVENT_REGISTERED, /* a client has its name */
        BUSRT_BROKER_EVENT_GONE,       /* a registered client is no more */
        BUSRT_BROKER_EVENT_REFUSED,    /* a name, a subscription or a connection was refused */
        BUSRT_BROKER_EVENT_BAD_FRAME,  /* a connection ended for what it sent */
        BUSRT_BROKER_EVENT_STRUCK,     /* the policy for slow receivers struck a client */
        BUSRT_BROKER_EVENT_DROPPED,    /* frames for a slow receiver were lost: n_frames */
        BUSRT_BROKER_EVENT_TIMEOUT,    /* a connection ended by a timeout */
        BUSRT_BROKER_EVENT_TAKEOVER,   /* a name was taken over by force-register */
        BUSRT_BROKER_EVENT_MEMORY,     /* the memory limit was reached, and the client ended */
        BUSRT_BROKER_EVENT_DENIED,     /* the access handler denied something, n_frames times */
        BUSRT_BROKER_EVENT_RESYNC,     /* events were lost: too many in a row */
        BUSRT_BROKER_EVENT_LISTENER,   /* a listener is troubled, or over: name is its address */
};

/* What its pointers point to lives as long as the call. Of an event with the id 0 the peer means
 * nothing, and the name is a listener's address where it is about one, or about a connection that
 * it refused. */
typedef struct busrt_broker_event {
        enum busrt_broker_event_type type;
        bool over;   /* the client ends with this */
        uint64_t id; /* the client's, never used again; 0: it is about none */
        busrt_broker_peer peer;
        uint64_t n_frames;
        const char *name;   /* the client's, cut at 127 bytes; untrusted text; or "" */
        const char *detail; /* what and why, a phrase */
} busrt_broker_event;

/* Called from busrt_broker_process(), or on the broker's own thread: it may use the broker and its
 * clients, but not free the broker. */
typedef void (*busrt_broker_event_handler)(busrt_broker *broker, const busrt_broker_event *event,
                                           void *userdata);
/* When: as the options that are marked "start", else -EBUSY. NULL for none. */
int busrt_broker_set_event_handler(busrt_broker *broker, busrt_broker_event_handler handler,
                                   void *userdata);

/* --- Looking in --- */

/* Since it was made. */
typedef struct busrt_broker_stats {
        uint64_t uptime;            /* microseconds */
        uint64_t r_frames, r_bytes; /* what clients sent */
        uint64_t w_frames, w_bytes; /* what was queued for clients */
        uint64_t dropped;           /* frames lost to a drop policy */
        uint64_t struck;            /* how often the policy struck */
        uint64_t refused, denied, bad;
        uint64_t connections, clients; /* now; of the former some have no name yet */
        uint64_t held;                 /* bytes in queues, unfinished frames, subscriptions now */
} busrt_broker_stats;
int busrt_broker_get_stats(busrt_broker *broker, busrt_broker_stats *ret);

/* What its pointers point to lives as long as the call. */
typedef struct busrt_broker_client_info {
        uint64_t id;
        const char *name;
        const char *listener; /* the address that it came by; NULL: it is in this process */
        busrt_broker_peer peer;
        bool primary;
        uint64_t connected_at; /* CLOCK_REALTIME, microseconds */
        uint64_t r_frames, r_bytes, w_frames, w_bytes, dropped;
        uint64_t queue_frames, queue_bytes; /* waiting for it now */
} busrt_broker_client_info;
/* Every registered client in no order, until fn returns non-zero, which is returned. Nothing is
 * routed meanwhile: fn must be quick, and call nothing of a broker or its clients. */
int busrt_broker_foreach_client(busrt_broker *broker,
                                int (*fn)(const busrt_broker_client_info *info, void *userdata),
                                void *userdata);
/* Ends a client: what waits for it goes out first. -ENOENT: there is no such client. */
int busrt_broker_disconnect(busrt_broker *broker, uint64_t id);

/* --- In its own name --- */

/* A frame whose sender is `.broker`. A receiver whose queue is full loses it, counted. kind: a
 * message to the client of that name, a broadcast to a mask of names, or a publication on a topic.
 * -ENOENT: nobody has that name; -EMSGSIZE: more than BUSRT_BROKER_MAX_FRAME; -EINVAL: also a
 * target that is no UTF-8, or longer than it may be. */
int busrt_broker_send(busrt_broker *broker, enum busrt_kind kind, const char *target,
                      const void *payload, size_t len);

#ifdef __cplusplus
}
#endif

#endif
