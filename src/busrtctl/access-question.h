/* SPDX-License-Identifier: Apache-2.0 */
/* Questions to access rules, judged by the functions that the broker judges by. Pure. */
#pragma once

#include "access/rules.h"

enum access_deed {
        ACCESS_BEAR, /* the name */
        ACCESS_PUBLISH,
        ACCESS_SUBSCRIBE,
        ACCESS_SEND,
        ACCESS_BROADCAST,
        ACCESS_RECEIVE,
        ACCESS_N_DEEDS,
};

/* "bear", "publish"... */
extern const char *const access_deed_names[ACCESS_N_DEEDS];
/* ACCESS_N_DEEDS: none. The word has no NUL behind it. */
enum access_deed access_deed_find(const char *word, size_t len);

/* May the client of that name do it? object: the topic, mask or name that it is about; unused for
 * ACCESS_BEAR, as peer is for the others. What is sent must be taken, too. */
struct verdict access_judge(const struct access_rules *rules, const char *name,
                            const struct access_peer *peer, enum access_deed deed,
                            const char *object);
