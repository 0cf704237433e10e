/* SPDX-License-Identifier: Apache-2.0 */
/*
 * MessagePack as JSON, and JSON and typed words as MessagePack. What JSON has no form for:
 *
 *   bin               {"$base64": "..."}, also when read
 *   ext               {"$ext": TYPE, "$base64": "..."}, also when read
 *   inf, -inf, nan    a string of that word
 *   keys              that are numbers, nil or booleans: their JSON in quotes; that are bin, ext,
 *                     arrays or maps: "$msgpack:" and the base64 of their MessagePack
 *   text              that is not UTF-8: U+FFFD for what is not
 */
#pragma once

#include "busrtctl/text.h"

/* Of arrays and maps within each other, the outermost one too; in both directions. */
#define VALUE_DEPTH_MAX 128

struct value_style {
        bool pretty; /* over several lines; only small values are, since indentation takes memory */
        bool color;
};

/* Exactly one value, with all that its headers claim. msgpack-c's reader takes memory by the
 * claims, and is not to be asked before. */
bool value_is_whole(const void *data, size_t len);

/* Adds the JSON, without a newline behind it. -EBADMSG, with nothing added: it is not exactly one
 * value, or is nested too deep. */
int value_to_json(struct text *out, const struct value_style *style, const void *data, size_t len);

/* Adds the MessagePack of one JSON text. *ret_error is to be freed, or NULL. -EBADMSG: it is not
 * JSON, or holds what MessagePack cannot; then *ret_error says what. -ENOMEM. */
int value_from_json(struct text *out, const char *json, size_t len, char **ret_error);

/* Adds a map of words KEY=VALUE, with VALUE as basic/word.h reads it; it begins behind the first
 * '='. Of a repeated key the last counts. -EBADMSG, with *ret_error as above. */
int value_from_words(struct text *out, char **words, size_t n, char **ret_error);
