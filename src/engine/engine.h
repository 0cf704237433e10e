/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The engine: sessions, queues, pacing and workers, without a listener, a log or a loop of its own.
 *
 * Threads. The functions under "From any thread" hand a request to the workers and return
 * at once; what came of it is told by an event. The functions under "From a service" may only be
 * called inside a callback of struct engine_service, which runs on the worker that handles the
 * caller. Either engine_start() makes a thread per worker, or the embedder runs the one worker on a
 * loop of its own (fd, timeout, process; n_workers is 1).
 *
 * All return 0 or -errno unless they say otherwise. Times are nanoseconds.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "transport/transport.h"

struct engine;
struct access_rules; /* access/rules.h */

/* What is done to a receiver that stays too slow (docs/slow-receivers.md). */
enum slow_policy {
        SLOW_DISCONNECT,
        SLOW_DROP_NEWEST,
        SLOW_DROP_OLDEST,
};

/* May a new client have the name of one that is there? */
enum force_register {
        FORCE_REGISTER_NO,
        FORCE_REGISTER_SAME_IDENTITY, /* of the same user or address */
        FORCE_REGISTER_ANY,
};

#define ENGINE_EXEMPT_MAX 4

#define ENGINE_WORKERS_MAX 256

struct engine_config {
        size_t n_workers;   /* threads that serve sessions; fixed by engine_new() */
        uint64_t timeout;   /* keep-alive, handshake, body, blocked write */
        uint64_t busy_poll; /* go on looking that long before a worker blocks; 0: block at once */
        uint64_t slow_pace; /* how long a sender waits for a slow receiver before the policy strikes
                             */
        enum slow_policy slow_policy;
        size_t queue_frames; /* a queue is full at either */
        size_t queue_bytes;
        size_t max_frame_size; /* of a client's body */
        size_t max_topic_parts;
        size_t max_topic_length;
        enum force_register force_register;
        size_t queue_memory_max; /* all that is held for all, subscriptions too */

        /* Of one user, or of one address on TCP. */
        size_t queue_memory_max_per_user; /* 0: half of queue_memory_max */
        size_t max_connections_per_user;
        size_t max_handshakes_per_user; /* connections that have no name yet */
        size_t max_names_per_user;
        size_t max_subscriptions_per_user; /* and exclusions, of all its clients */
        size_t connection_rate_per_user;   /* per second; 0: any */
        size_t connection_burst_per_user;  /* so many at once before the rate counts */
        struct access_rules *access; /* NULL: everybody may everything. The engine takes a reference
                                        of its own. */
        /* Users to whom none of these limits applies. */
        uid_t exempt[ENGINE_EXEMPT_MAX];
        size_t n_exempt;

        bool local_clients; /* at the start only: there may be clients in this process */
        /* At the start only: what workers need for messages is taken and touched before the first
         * one comes and not given back, and their locks inherit priority. */
        bool real_time;
        size_t real_time_reserve; /* bytes in buffers that lie ready then, beside
                                     queue_memory_max */
};

/* Defaults as documented; queue_memory_max from the machine's memory or the cgroup's. */
void engine_config_init(struct engine_config *config);

int engine_new(const struct engine_config *config, struct engine **ret);
/* Stops the workers if they run, disconnects everybody without a word, asserts that nothing is held
 * any more. Returns NULL. */
struct engine *engine_free(struct engine *engine);

/* Threads of its own. */
int engine_start(struct engine *engine);
/* Announces `shutdown` to the clients, which are served on: some look at what came last only while
 * they are connected, so an engine_stop(engine, false) had better not follow at once. */
int engine_warn(struct engine *engine);
/* Announces `shutdown` when asked to, lets queues run out for at most one timeout, closes all,
 * joins the threads. */
void engine_stop(struct engine *engine, bool announce);

/* On the embedder's loop instead: wait until the fd is readable or the timeout has passed, then
 * process. engine_timeout() is in milliseconds as for poll(2): -1 never, 0 at once.
 * engine_process() does one pass. */
int engine_fd(const struct engine *engine);
int engine_timeout(struct engine *engine);
int engine_process(struct engine *engine);

/* --- From any thread --- */

/* Takes the connected socket over (on success only; closed by the engine from then on). listener is
 * shown as the client's "port": the listener's path or address; copied. That identity has as much
 * as it may: -EDQUOT of connections, -EUSERS of those without a name, -EBUSY: it connects too fast.
 */
int engine_adopt(struct engine *engine, int fd, const struct transport_peer *peer,
                 const char *listener);
/* Ends a session by its id. */
int engine_disconnect(struct engine *engine, uint64_t id);
/* New limits, policies, times and access rules for all, sessions that there are too. All of it or
 * nothing: -ENOMEM. Rules apply between two frames: who may not be here any more is disconnected,
 * subscriptions that are not allowed any more are dropped. Nothing else ends anybody: where the
 * timeout became shorter, every clock has one new timeout from then on. */
int engine_configure(struct engine *engine, const struct engine_config *config);
/* A service's reply to the session of that id that comes later than its callback. Who has gone
 * meanwhile gets nothing. Several come in the order of the calls, and may come behind what
 * engine_reply() was given later. The bytes are copied. -ENOMEM. */
int engine_reply_later(struct engine *engine, uint64_t id, const void *head, size_t head_len,
                       const void *body, size_t body_len, bool realtime);
/* Makes every worker do a pass soon, also when nothing happens; and have they done one since? */
void engine_ping(struct engine *engine);
bool engine_has_answered(const struct engine *engine);

/* Sends as the broker's own client `.broker`, in the order of the calls. target: a name, a mask
 * (broadcast) or a topic. A full receiver's frame is dropped and counted. The bytes are copied. */
enum engine_send_kind {
        ENGINE_SEND_MESSAGE,
        ENGINE_SEND_BROADCAST,
        ENGINE_SEND_PUBLICATION,
};
int engine_send(struct engine *engine, enum engine_send_kind kind, const char *target,
                size_t target_len, const void *payload, size_t payload_len);

/* Counted since the start or the last reset; exact once the workers are quiet. */
struct engine_counters {
        uint64_t r_frames, r_bytes; /* what clients sent into the bus */
        uint64_t w_frames, w_bytes; /* what was queued for receivers */
        uint64_t dropped;  /* frames lost to a drop policy, or announcements to a full queue */
        uint64_t struck;   /* how often the policy struck a slow receiver */
        uint64_t refused;  /* connections and names refused, and who was refused subscriptions */
        uint64_t bad;      /* connections ended for breaking the protocol */
        uint64_t sessions; /* connections now, in handshake too */
        uint64_t clients;  /* registered now */
        uint64_t held;     /* bytes held in queues, unfinished frames and subscriptions now */
        uint64_t passes;   /* of the first worker, which takes requests; never reset */
        uint64_t denied;   /* what access rules did not let clients do */
};
void engine_get_counters(struct engine *engine, struct engine_counters *ret);
uint64_t engine_uptime(const struct engine *engine);

/* --- What happened --- */

enum engine_event_type {
        ENGINE_EVENT_REGISTERED, /* a client has its name */
        ENGINE_EVENT_GONE,       /* a registered client is no more; detail says why */
        ENGINE_EVENT_REFUSED,    /* a name or a subscription; of these one a second for each */
        ENGINE_EVENT_BAD_FRAME,  /* a connection ended for what it sent */
        ENGINE_EVENT_STRUCK,   /* a slow receiver, unregistered or made to lose frames by the policy
                                */
        ENGINE_EVENT_DROPPED,  /* frames for a slow receiver were lost; at most once a second for
                                  each */
        ENGINE_EVENT_TIMEOUT,  /* a connection ended by keep-alive, handshake, body or blocked write
                                */
        ENGINE_EVENT_TAKEOVER, /* a name taken over by force-register */
        ENGINE_EVENT_MEMORY,   /* the memory limit was reached; the receiver named was ended */
        ENGINE_EVENT_DENIED, /* access rules: n_frames times. Cause NONE: what it may not do, one a
                                second for each. RULE: it lost subscriptions to new rules. */
        ENGINE_EVENT_RESYNC, /* events were lost: the ring was full */
};

/* Which kind of refusal or time-out it was. */
enum engine_cause {
        ENGINE_CAUSE_NONE, /* events of other types */

        ENGINE_CAUSE_KEEP_ALIVE, /* TIMEOUT: no frame came */
        ENGINE_CAUSE_HANDSHAKE,  /* it did not say its name in time */
        ENGINE_CAUSE_BODY,       /* a frame's body did not come to its end in time */
        ENGINE_CAUSE_BLOCKED,    /* it took nothing while frames waited */

        ENGINE_CAUSE_PROTOCOL, /* REFUSED: it does not speak the protocol, or not this version */
        ENGINE_CAUSE_NAME,     /* the name is no name, or not free */
        ENGINE_CAUSE_RULE,     /* who it is may not do that; GONE: not any more */
        ENGINE_CAUSE_QUOTA, /* its user has as much as it may. Refused a subscription it stays. */
        ENGINE_CAUSE_NO_MEMORY,
};

struct engine_event {
        enum engine_event_type type;
        enum engine_cause cause;
        enum transport_kind kind;
        bool over;   /* the session ends with this: exactly one such event for each that was
                        registered, except when the engine stops */
        uint64_t id; /* of the session */
        uid_t uid;   /* UNIX */
        gid_t gid;
        pid_t pid;         /* UNIX, 0 if not known */
        uint64_t n_frames; /* waiting for it; DROPPED: lost since the last such event */
        char name[128]; /* the client's; cut with "..."; empty before it has one. Untrusted text. */
        char source[64];  /* TCP peers */
        char detail[160]; /* what and why, a phrase */
        char file[128];   /* of the access rule that decided; cut at its beginning; or empty */
        unsigned line;    /* 0: none */
};

/* Readable when there are events. */
int engine_event_fd(const struct engine *engine);
/* 1 and an event, or 0. One thread only. */
int engine_event_next(struct engine *engine, struct engine_event *ret);

/* --- A service: the broker's own client --- */

struct session; /* one connection */

struct engine_service {
        /* A message to `.broker`. It was acknowledged already. Reply with engine_reply() now, or
         * with engine_reply_later() to the id of the session. */
        void (*message)(struct engine *engine, struct session *from, const uint8_t *payload,
                        size_t len, bool realtime, void *userdata);
        void *userdata;
};

/* Before engine_start() or the first engine_process(). */
void engine_set_service(struct engine *engine, const struct engine_service *service);

/* --- A guard: in the place of access rules, a function --- */

enum engine_action {
        ENGINE_ACTION_REGISTER,
        ENGINE_ACTION_SEND,
        ENGINE_ACTION_PUBLISH,
        ENGINE_ACTION_BROADCAST,
        ENGINE_ACTION_SUBSCRIBE,
};

struct engine_question {
        enum engine_action action;
        const struct transport_peer *peer;
        const char *name;   /* of who asks; NUL-terminated */
        const char *target; /* NULL: none */
        size_t target_len;
};

/* Called with the bus in hand. True: allowed, which may be remembered for that client. */
typedef bool (*engine_guard_fn)(const struct engine_question *question, void *userdata);
/* Before engine_start() or the first engine_process(). Access rules are not asked then. */
void engine_set_guard(struct engine *engine, engine_guard_fn guard, void *userdata);

/* --- From a service --- */

/* The guard's answers have changed: everyone is asked for anew. */
void engine_renew_guard(struct engine *engine);
/* Ends a session by its id: what waits for it goes out first. -ENOENT. */
int engine_end(struct engine *engine, uint64_t id);
/* As engine_configure(), at once; config's reference of the rules is the engine's from then on. */
void engine_configure_now(struct engine *engine, const struct engine_config *config);
/* As engine_send(), at once. */
void engine_send_now(struct engine *engine, enum engine_send_kind kind, const char *target,
                     size_t target_len, const void *payload, size_t payload_len);

/* Queues a message from `.broker`, its payload in two parts, head first. Never fails the caller: a
 * session that cannot be given memory is ended. */
void engine_reply(struct engine *engine, struct session *to, const void *head, size_t head_len,
                  const void *body, size_t body_len, bool realtime);

/* What its pointers point to is the engine's, until the callback returns. */
struct engine_client_info {
        uint64_t id;
        const char *name; /* NUL-terminated */
        enum transport_kind kind;
        const char *source;   /* NULL for UNIX and internal */
        const char *listener; /* NULL for internal */
        bool primary;
        uid_t uid; /* UNIX; else -1, -1 and 0. The pid is 0 also where it is not known. */
        gid_t gid;
        pid_t pid;
        uint64_t connected_at; /* CLOCK_REALTIME */
        uint64_t r_frames, r_bytes, w_frames, w_bytes;
        uint64_t dropped;
        size_t queue_frames, queue_bytes;
        size_t queue_frames_max, queue_bytes_max; /* the most that waited for it */
        uint64_t paced; /* how long it was paused as a sender in all, a pause under way included */
        size_t instances; /* 1 + secondaries */
};
/* The one that called. */
void engine_get_caller(const struct session *from, struct engine_client_info *ret);
/* Every registered client in no order, `.broker` among them, until fn returns non-zero, which is
 * returned. */
int engine_foreach_client(struct engine *engine,
                          int (*fn)(const struct engine_client_info *info, void *userdata),
                          void *userdata);
/* One client. -ENOENT: nobody is registered by that name or id. */
int engine_find_client(struct engine *engine, const char *name, size_t len,
                       struct engine_client_info *ret);
int engine_get_client(struct engine *engine, uint64_t id, struct engine_client_info *ret);
/* The masks that it is subscribed to (or those that it excludes), until fn returns non-zero, which
 * is returned. -ENOENT: nobody is registered by that id. */
int engine_foreach_subscription(struct engine *engine, uint64_t id, bool exclusions,
                                int (*fn)(const char *mask, size_t len, void *userdata),
                                void *userdata);
/* The names of a primary's secondaries, in the same way. */
int engine_foreach_secondary(struct engine *engine, uint64_t id,
                             int (*fn)(const char *name, size_t len, void *userdata),
                             void *userdata);
/* What one user, or one address, has of everything that is limited. */
#define ENGINE_NO_LIMIT UINT64_MAX
struct engine_account_info {
        char identity[64]; /* "user 1000", "192.0.2.7", "2001:db8::/64", "broker" */
        uid_t uid;         /* -1: no user's */
        bool exempt;
        struct engine_account_use {
                uint64_t used;    /* now */
                uint64_t max;     /* ENGINE_NO_LIMIT: there is none */
                uint64_t refused; /* how often it wanted more; of memory: for how many pieces */
        } connections, handshakes, rate /* nothing is used */, names, subscriptions,
                memory /* bytes */;
};
/* Everyone who is connected or for whom something is held, in no order, until fn returns non-zero,
 * which is returned. From any thread, too: nobody comes or goes meanwhile. */
int engine_foreach_account(struct engine *engine,
                           int (*fn)(const struct engine_account_info *info, void *userdata),
                           void *userdata);
/* All counters to zero, the engine's and every client's, and high-water marks to what is now. */
void engine_reset_counters(struct engine *engine);

/* --- Clients in this process --- */

/* One client's end of its session, as a stream of the protocol's bytes: the same handshake, the
 * same frames. Only where engine_config.local_clients says so. One thread may write while another
 * reads. Nothing here waits, and no client's thread waits for a worker; what is sent is routed on
 * the caller's thread. */
struct engine_local;

/* listener: as for engine_adopt(). Its peer is this process. Also -EDQUOT, -EUSERS, -EBUSY;
 * -ESHUTDOWN: the engine is being stopped. */
int engine_local_new(struct engine *engine, const char *listener, struct engine_local **ret);
/* Ends the session. Before engine_free(). Returns NULL. */
struct engine_local *engine_local_free(struct engine_local *local);
/* Readable when a write or a read that gave -EAGAIN is worth another try. Its own until freed. */
int engine_local_fd(const struct engine_local *local);
/* Whole frames, one behind the other, or one frame in pieces. How many of the bytes were handled;
 * what follows is written again. -EAGAIN: not now; -EPIPE: the session has ended; -EINVAL: the
 * last frame is not whole. */
ssize_t engine_local_write(struct engine_local *local, const struct iovec *iov, size_t n);
/* > 0 bytes, 0: the session has ended, or -EAGAIN: not now. */
ssize_t engine_local_read(struct engine_local *local, void *to, size_t size);

/* Runs fn on this thread with the bus in hand; it may use what is under "From a service". Where
 * local_clients was set, from any thread but from no callback of the engine's. */
void engine_visit(struct engine *engine, void (*fn)(struct engine *engine, void *userdata),
                  void *userdata);

/* --- Looking in --- */

/* From any thread. Runs fn on the worker, between frames, and waits until it has returned; it may
 * use what is under "From a service". Whatever it does holds up the bus. -ETIMEDOUT: the worker did
 * not come to it within the timeout, and never will: fn is not run any more. (Once begun, it is
 * waited for.) -ENOMEM. Where no worker thread runs (before engine_start(), after engine_stop() or
 * engine_quiesce(), on an embedder's loop) and on the worker itself, fn runs in place: then only
 * from the thread that the engine is served by. */
int engine_inspect(struct engine *engine, void (*fn)(struct engine *engine, void *userdata),
                   void *userdata, uint64_t timeout);

/* --- Moving live sessions to another engine --- */

/* With the workers stopped (engine_quiesce), every session becomes a record of bytes and its fd;
 * imported into an engine that has not started yet, it goes on as if nothing had been: not a byte
 * lost or doubled. */
int engine_quiesce(struct engine *engine);
typedef int (*engine_export_fn)(const void *record, size_t len, int fd, void *userdata);
/* Calls fn for each session until it returns non-zero, which is returned. The fd stays the
 * engine's: duplicate it. When the engine is freed afterwards, the peers notice nothing. */
int engine_export(struct engine *engine, engine_export_fn fn, void *userdata);
/* One record, with a duplicate of its fd, which the engine takes on success. -EBADMSG: not a valid
 * record. Call engine_import_done() after the last. */
int engine_import(struct engine *engine, const void *record, size_t len, int fd);
int engine_import_done(struct engine *engine);

/* --- Tracing --- */

/* Called on the worker for every frame that is queued for a client (kind: enum wire_kind), when
 * set. */
typedef void (*engine_tap_fn)(uint64_t to, const char *sender, uint8_t kind, const void *payload,
                              size_t len, void *userdata);
void engine_set_tap(struct engine *engine, engine_tap_fn fn, void *userdata);
