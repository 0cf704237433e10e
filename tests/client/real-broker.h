/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A busrtd of the test's own: the program that $BUSRTD names, in a new directory. It does not
 * outlive the thread that started it.
 */
#pragma once

#include <stdbool.h>

struct real_broker;

/* Listens when it returns. */
struct real_broker *real_broker_start(void);
/* Ends it in order; fails unless its status is 0. Returns NULL. */
struct real_broker *real_broker_stop(struct real_broker *b);
/* SIGKILL, and it has gone. */
void real_broker_kill(struct real_broker *b);
/* After that: another at the same addresses. */
void real_broker_start_again(struct real_broker *b);
/* SIGTERM, and no waiting for what it does then. */
void real_broker_tell_to_stop(struct real_broker *b);

const char *real_broker_path(const struct real_broker *b);
const char *real_broker_tcp(const struct real_broker *b);
/* NULL where there is no IPv6. */
const char *real_broker_tcp6(const struct real_broker *b);
