package handle

import (
	"cmp"
	"time"

	"fairlead.dev"
)

// LongestDuration returns the longest duration that a provider takes, by the limit
// that it publishes. Zero means that it publishes none.
func LongestDuration(limit time.Duration) time.Duration {
	return min(cmp.Or(limit, fairlead.MaxDuration), fairlead.MaxDuration)
}
