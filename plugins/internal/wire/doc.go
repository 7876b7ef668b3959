// Package wire is the data plane between a host and a plugin. It moves frames
// of calls and frames of replies over the gRPC stream Exchange or over a Unix
// socket.
//
// A frame is an ExchangeRequest or an ExchangeResponse. On a socket, each frame
// follows its length: four bytes, most significant first.
package wire

import "time"

// MaxFrame is the maximum length of a frame, in bytes.
const MaxFrame = 1 << 30

// maxItem is the maximum length of one call or reply, in bytes.
const maxItem = MaxFrame - frameTarget - 1<<10

// Bounds of what the other end can make grow.
const (
	// maxPending is how many calls of a host wait for replies at once. A plugin
	// ends a connection with twice as many.
	maxPending    = 1 << 16
	maxUnanswered = 2 * maxPending
	// maxAbandoned is how many calls whose callers have gone may be unanswered. A
	// plugin that leaves more is not working.
	maxAbandoned = 1 << 14
	// maxAttach is the maximum length of a socket's first frame, in bytes.
	maxAttach = 64 << 10
)

// replyGrace is how long a call whose context has ended still waits for its
// reply. The plugin has been told, and it knows the call's outcome best.
const replyGrace = 900 * time.Millisecond

// timeoutSlack is added to the time that a call has left when the plugin is
// told it. The host ends calls, so the plugin is never the first to report a
// deadline.
const timeoutSlack = 100 * time.Millisecond
