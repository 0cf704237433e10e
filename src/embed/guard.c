/* SPDX-License-Identifier: Apache-2.0 */
/* Who may do what: the engine's questions, put to the program. */
#include "embed/internal.h"

_Static_assert((int)BUSRT_ACTION_REGISTER == (int)ENGINE_ACTION_REGISTER &&
                       (int)BUSRT_ACTION_SEND == (int)ENGINE_ACTION_SEND &&
                       (int)BUSRT_ACTION_PUBLISH == (int)ENGINE_ACTION_PUBLISH &&
                       (int)BUSRT_ACTION_BROADCAST == (int)ENGINE_ACTION_BROADCAST &&
                       (int)BUSRT_ACTION_SUBSCRIBE == (int)ENGINE_ACTION_SUBSCRIBE,
               "the public words are the engine's");

busrt_broker_peer broker_peer(enum transport_kind kind, uid_t uid, gid_t gid, pid_t pid,
                              const char *source)
{
        bool has_uid = kind == TRANSPORT_MEMORY || kind == TRANSPORT_UNIX;

        return (busrt_broker_peer){.local = kind == TRANSPORT_MEMORY || kind == TRANSPORT_INTERNAL,
                                   .has_uid = has_uid,
                                   .uid = has_uid ? uid : (uid_t)-1,
                                   .gid = has_uid ? gid : (gid_t)-1,
                                   .pid = has_uid ? pid : 0,
                                   .source = source && source[0] ? source : NULL};
}

static bool on_question(const struct engine_question *q, void *userdata)
{
        busrt_broker *b = userdata;
        busrt_broker_peer peer = broker_peer(q->peer->kind, q->peer->uid, q->peer->gid,
                                             q->peer->has_pid ? q->peer->pid : 0, q->peer->source);
        busrt_broker_question question = {
                .action = (enum busrt_broker_action)q->action,
                .peer = &peer,
                .name = q->name,
                .target = q->target,
                .target_len = q->target_len,
        };

        return b->on_question(b, &question, b->on_question_data) == 0;
}

void guard_attach(busrt_broker *b)
{
        if (b->on_question)
                engine_set_guard(b->engine, on_question, b);
}

PUBLIC int busrt_broker_set_access_handler(busrt_broker *broker,
                                           busrt_broker_access_handler handler, void *userdata)
{
        int r;

        if (!broker)
                return -EINVAL;
        pthread_mutex_lock(&broker->lock);
        r = broker->engine ? -EBUSY : 0;
        if (r == 0) {
                broker->on_question = handler;
                broker->on_question_data = userdata;
        }
        pthread_mutex_unlock(&broker->lock);
        return r;
}

static void renew(struct engine *engine, void *userdata)
{
        engine_renew_guard(engine);
}

PUBLIC int busrt_broker_access_changed(busrt_broker *broker)
{
        if (!broker)
                return -EINVAL;
        (void)broker_visit(broker, renew, NULL);
        return 0;
}
