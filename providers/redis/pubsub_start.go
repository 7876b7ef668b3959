package redis

import (
	"math"
	"strconv"
	"strings"

	"fairlead.dev"
	"fairlead.dev/pubsub/driver"
)

// startOf says in the words of the join script where a subscription starts.
func startOf(c driver.SubscriptionConfig) (start, id string, err error) {
	switch c.Start {
	case driver.StartNew:
		return "new", "", nil
	case driver.StartEarliest:
		return "earliest", "", nil
	case driver.StartTime:
		return "id", idBefore(c.Time.UnixMilli()), nil
	case driver.StartPosition:
		if !isStreamID(c.Position) {
			return "", "", invalidPosition(c.Position)
		}
		return "position", c.Position, nil
	default:
		return "none", "", nil // no subscription: the topic alone
	}
}

func invalidPosition(position string) error {
	return invalid("position %q was never one of this topic; pass one that a delivery carried", position)
}

// idBefore is the last possible id before those of a millisecond.
func idBefore(ms int64) string {
	if ms <= 0 {
		return "0-0"
	}
	return strconv.FormatInt(ms-1, 10) + "-" + strconv.FormatUint(math.MaxUint64, 10)
}

// isStreamID reports whether s is the id of a stream's entry as Redis writes
// it, "MS-SEQUENCE".
func isStreamID(s string) bool {
	ms, seq, ok := strings.Cut(s, "-")
	return ok && isUint(ms) && isUint(seq)
}

// isUint reports whether s is a number of 64 bits in its shortest form.
func isUint(s string) bool {
	n, err := strconv.ParseUint(s, 10, 64)
	return err == nil && strconv.FormatUint(n, 10) == s
}

func parseJoin(reply any, position string) (join, error) {
	l := list(reply)
	switch text(at(l, 0)) {
	case "ok":
		return join{epoch: text(at(l, 1)), place: parsePlace(at(l, 2))}, nil
	case "invalid":
		return join{}, invalidPosition(position)
	case "compacted":
		return join{}, fairlead.Errorf(fairlead.Compacted, "the messages behind position %q are no longer kept; start at the earliest", position)
	default:
		return join{}, unexpectedReply(reply)
	}
}
