/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libbusrt: handlers of publications by their topics. Results, time and threads are as
 * <busrt/client.h> says.
 *
 * A client may have a table of handlers, each for a topic or for a mask of topics ('+' is any one
 * part, '#' at the end one or more further parts). A publication goes to one of them: to that of
 * its very topic, or else to that of the most specific mask that matches. Of two masks that is the
 * one which, in the first part where they differ, has a word where the other has '+' or '#', or '+'
 * where the other has '#': a/b/# before a/+/c before a/# before #. A publication that no handler is
 * for is treated as if there were no table: it goes to the frame handler, or waits for
 * busrt_client_read().
 *
 * So does the topic broker of the reference's library: one handler for a publication, a topic
 * before any prefix, and what nobody takes is given back. Its prefixes are masks here that end in
 * '#'; and of several that match it takes the one that sorts first.
 *
 * A topic without '+' and '#' is found by one look into a hash table, masks are tried in turn.
 */
#ifndef BUSRT_TOPICS_H
#define BUSRT_TOPICS_H

#include <busrt/client.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Called from busrt_client_process(). The frame is borrowed: busrt_frame_ref() keeps it. mask is
 * the one that the handler was added for, without what stands behind a '#', and lives as long as
 * the call. */
typedef void (*busrt_topic_handler)(busrt_client *client, busrt_frame *frame, const char *mask,
                                    void *userdata);

/* Subscribes as busrt_client_subscribe() does, and adds the handler, or neither. mask is copied.
 * -EEXIST: it has a handler. With ret_op the handler is there whatever the acknowledgement says. */
int busrt_client_subscribe_handler(busrt_client *client, const char *mask,
                                   busrt_topic_handler handler, void *userdata, unsigned qos,
                                   busrt_op **ret_op);
/* Unsubscribes as busrt_client_unsubscribe() does, and then removes the handler, or neither.
 * -ENOENT: there is none. */
int busrt_client_unsubscribe_handler(busrt_client *client, const char *mask, unsigned qos,
                                     busrt_op **ret_op);

/* The same without a word to the broker: for several handlers under one subscription, and at any
 * time, also before connecting. What has come, and was not read or handled yet, is for the new
 * handler, too. Handlers are not waited for: one that is being called in another thread when it is
 * removed goes on. */
int busrt_client_add_topic_handler(busrt_client *client, const char *mask,
                                   busrt_topic_handler handler, void *userdata);
int busrt_client_remove_topic_handler(busrt_client *client, const char *mask);

/* Whether the mask matches the topic: 1 or 0. */
int busrt_topic_matches(const char *mask, const char *topic);
/* What stands in the topic for one '+' or '#' of the mask, the first of which has index 0: a part,
 * or for '#' all further ones. *ret points into topic; *ret_len is its length. -ENOENT: the mask
 * does not match, or has no more of them. */
int busrt_topic_get_part(const char *mask, const char *topic, size_t index, const char **ret,
                         size_t *ret_len);

#ifdef __cplusplus
}
#endif

#endif
