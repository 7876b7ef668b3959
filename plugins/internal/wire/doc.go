// Package wire is the data plane between a host and a plugin: frames of calls
// and frames of replies, over the gRPC stream Exchange or over a Unix socket.
//
// A frame is an ExchangeRequest or an ExchangeResponse. On a socket its length
// stands before it, as four bytes, the most significant first.
package wire

import "time"

// MaxFrame is the greatest length of a frame, in bytes.
const MaxFrame = 1 << 30

// maxMessage is the greatest length of one call or reply.
const maxMessage = MaxFrame - enough - 1<<10

// grace is how long a call whose context has ended goes on waiting for its
// reply: the plugin was told, and knows best what came of the call.
const grace = 900 * time.Millisecond

// slack is how much longer than its caller the plugin gives a call: it is the
// host that ends calls, so that the plugin is never the first to say that the
// time is over.
const slack = 100 * time.Millisecond
