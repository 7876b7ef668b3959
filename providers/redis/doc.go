// Package redis offers the kv and pubsub facets on Redis 7.0 or newer.
package redis
