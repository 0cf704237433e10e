/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The line protocol of the client programs (tests/interop/program.py): orders come as lines of
 * JSON, answers and events go as such. Payloads travel in hex when they are small; large ones are
 * named by size and seed in an order, and by length and SHA-1 in an event. An order that is not
 * what the driver sends ends the program.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <json-c/json.h>

/* --- Orders --- */

/* What an order has under this key; it belongs to the order. */
const char *order_text(json_object *order, const char *key);
unsigned order_number(json_object *order, const char *key);
bool order_flag(json_object *order, const char *key); /* false where there is none */
/* -1 where there is none. */
double order_seconds(json_object *order, const char *key);

/* An array of *ret_n strings of the order's, to be freed with free(). */
const char **order_topics(json_object *order, size_t *ret_n);
/* To be freed with free(). Never NULL. */
uint8_t *order_payload(json_object *order, size_t *ret_len);

/* --- Answers and events --- */

/* Writes one line. From any thread; takes the value. */
void say(json_object *value);

json_object *payload_describe(const void *data, size_t len);
json_object *answer_error(int code, const char *text);

/* The broker's code for a result of the library's, or 0: it did not come from the broker. */
int wire_code(int result);
/* The acknowledgement, or the failure, that a result of the library's means at this QoS. */
json_object *answer_ack(int result, unsigned qos);
/* A failure of the library's, with the broker's code where there is one. */
json_object *answer_failure(int result);
