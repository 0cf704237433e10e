/* SPDX-License-Identifier: Apache-2.0 */
/* What the tests of missing memory share: a client, and what it may return. */
#pragma once

#include "../unit/counted-printf.h"
#include "../unit/counted-strings.h"
#include "client-bed.h"

#define ACKED BUSRT_QOS_PROCESSED
#define PATIENCE (20 * SECOND)

static busrt_client *client;

/* A large frame that is half written, and whose rest finds no room, costs the connection. */
static bool is_lost(void)
{
        return client && busrt_client_error(client) == -ENOMEM;
}

/* No other error than this one, and what follows from a connection that it has ended. */
static bool worked(int r)
{
        bool lost = (r == -ENOTCONN || r == -ECONNRESET) && is_lost();

        if (r < 0 && r != -ENOMEM && !lost)
                print_error("%s\n", busrt_strerror(r));
        assert_true(r >= 0 || r == -ENOMEM || lost);
        assert_true(r >= 0 || memory.failed);
        return r >= 0;
}
