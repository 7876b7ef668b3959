package redis

import "strings"

// token identifies a delivery: by the ID of the entry, the number of its
// lease and, for a group, the ordering key as the server has it.
type token struct{ id, lease, key string }

func (t token) String() string { return t.id + "/" + t.lease + "/" + t.key }

// member is what the scripts keep of the delivery while the consumer holds it.
func (t token) member(consumer string) string {
	return t.id + " " + t.lease + " " + consumer + " " + t.key
}

func parseToken(s string) (token, error) {
	id, rest, _ := strings.Cut(s, "/")
	lease, key, ok := strings.Cut(rest, "/")
	if !ok || !isStreamID(id) || !isUint(lease) {
		return token{}, invalidf("the token %.100q does not come from a delivery", s)
	}
	return token{id, lease, key}, nil
}
