/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Coming back. A connection that ended by itself leaves a pause, then a try at the same targets,
 * and so on with longer pauses. Once the name is registered again, what the program wished for
 * comes first, and what it sent meanwhile follows, before anything new.
 *
 * The old socket may be in the hands of a thread that reads it. It is closed when that leaves, and
 * no try begins before.
 */
#include <limits.h>
#include <sys/random.h>

#include "client/internal.h"
#include "wire/frame.h"

/* --- When --- */

/* Somewhere in the second half of the pause, so that no two clients go in step. */
static uint64_t next_pause(struct reconnect *r)
{
        uint64_t pause = r->first_pause, random;

        for (unsigned i = 0; i < r->tries && pause < r->longest_pause; i++)
                pause *= 2;
        pause = MIN(pause, r->longest_pause);
        if (r->tries < UINT_MAX)
                r->tries++;
        if (getrandom(&random, sizeof(random), GRND_NONBLOCK) != sizeof(random))
                random = clock_nsec(CLOCK_MONOTONIC) ^ (uintptr_t)r;
        return pause - random % (pause / 2 + 1);
}

/* What the broker says no to will not change by asking again. A name that is taken may be our own,
 * of a connection whose end it has not seen yet; a primary may not be back. */
static bool is_refused(const busrt_client *c, int error)
{
        enum phase phase = c->connecting.phase;

        if (phase != PHASE_GREETING && phase != PHASE_VERSION && phase != PHASE_NAME)
                return false;
        return error == -EACCES || error == -EBADMSG || error == -EOPNOTSUPP || error == -EPROTO;
}

static bool may_come_back(const busrt_client *c, int error)
{
        return c->reconnect.limit > 0 && c->connecting.n_targets > 0 &&
               (c->reconnect.armed || c->connecting.phase == PHASE_READY) && !is_refused(c, error);
}

/* A client that was registered has gone. */
static void be_away(busrt_client *c, int error, uint64_t now)
{
        struct reconnect *r = &c->reconnect;

        client_log(c, BUSRT_LOG_WARNING, "%s: connection to %s: %s; connecting again", c->name,
                   c->address, busrt_strerror(error));
        c->state = BUSRT_STATE_RECONNECTING;
        r->armed = true;
        r->give_up_at = usec_after(now, r->limit);
        /* One that lasted no longer than a pause is only another try that failed. */
        if (now - r->since >= r->longest_pause)
                r->tries = 0;
        client_finish_pending(c);
        r->lost_by = error;
        events_tell_lost(c);
}

void client_lost(busrt_client *c, int error)
{
        struct connecting *k = &c->connecting;
        uint64_t now = now_usec();

        if (client_is_over(c))
                return;
        if (!may_come_back(c, error)) {
                client_close(c, error);
                return;
        }
        c->reconnect.reason = error;
        if (k->phase == PHASE_READY)
                be_away(c, error, now);
        else
                client_log(c, BUSRT_LOG_DEBUG, "%s: connection to %s: %s", c->name, c->address,
                           busrt_strerror(error));
        k->phase = PHASE_PAUSE;
        k->pending = false;
        k->deadline = UINT64_MAX;
        k->act_at = now + next_pause(&c->reconnect);
        c->generation++;
        c->next_ping = UINT64_MAX;
        c->output.start = c->output.end = 0;
        c->output.broken = true; /* until the next try */
        client_end_socket(c);
}

void reconnect_keep_time(busrt_client *c, uint64_t now)
{
        const struct connecting *k = &c->connecting;

        if (now >= c->reconnect.give_up_at)
                client_close(c, c->reconnect.reason ? c->reconnect.reason : -ETIMEDOUT);
        else if (k->phase == PHASE_PAUSE && now >= k->act_at) {
                client_wake_reader(c);
                if (c->fd < 0)
                        connect_try(c, now);
        }
}

/* --- What --- */

static int restore_wish(busrt_client *c, const struct wish *wish)
{
        uint8_t header[WIRE_REQUEST_HEADER_SIZE];
        size_t len = strlen(wish->topic);
        struct iovec iov[] = {{header, sizeof(header)}, {(void *)(uintptr_t)wish->topic, len}};

        send_encode_header(header, wish->op, BUSRT_QOS_PROCESSED, c->reconnect.restore_id, len);
        return output_append(&c->output, iov, ARRAY_SIZE(iov), sizeof(header) + len);
}

static int restore_wishes(busrt_client *c)
{
        struct wish *wish;
        int r = 0;

        if (RB_EMPTY(&c->wishes))
                return 0;
        c->reconnect.restore_id = slots_take_id(&c->slots);
        /* Each by itself: one that is refused now does not take others along. */
        RB_FOREACH (wish, wish_tree, &c->wishes) {
                r = restore_wish(c, wish);
                if (r < 0)
                        break;
        }
        return r;
}

int reconnect_restore(busrt_client *c)
{
        struct iovec waited = {c->offline.data + c->offline.start, output_unsent(&c->offline)};
        int r = restore_wishes(c);

        if (r == 0 && waited.iov_len > 0)
                r = output_append(&c->output, &waited, 1, waited.iov_len);
        if (r < 0)
                return r;
        output_done(&c->offline);
        c->reconnect.since = now_usec();
        c->reconnect.give_up_at = UINT64_MAX;
        return 0;
}

void reconnect_restored(busrt_client *c, int result)
{
        if (result < 0)
                client_log(c, BUSRT_LOG_WARNING, "%s: a subscription is not restored: %s", c->name,
                           busrt_strerror(result));
}

int client_may_send(const busrt_client *c)
{
        return client_is_away(c) && c->offline_buffer > 0 ? 0 : client_is_live(c);
}
