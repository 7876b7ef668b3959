package mutants

import (
	"bytes"
	"slices"
	"strings"
	"sync"

	"fairlead.dev/conformance"
	rpcdriver "fairlead.dev/rpc/driver"
)

// rpcCallMutants transfer calls wrongly.
var rpcCallMutants = []Mutant{
	{
		Name: "rpc-text-only", Breaks: "bytes that are not text are replaced", CaughtBy: cases("rpc/unary"),
		Open: withFrame(func(f *rpcdriver.Frame) bool {
			f.Payload = bytes.ToValidUTF8(f.Payload, []byte("?"))
			return true
		}),
	},
	{
		Name: "rpc-empty-lost", Breaks: "empty messages are lost", CaughtBy: cases("rpc/empty"),
		Open: withFrame(func(f *rpcdriver.Frame) bool { return f.Kind != rpcdriver.FrameMessage || len(f.Payload) > 0 }),
	},
	{
		Name: "rpc-truncated", Breaks: "messages are cut off at 64 KiB", CaughtBy: cases("rpc/large"),
		Open: withFrame(func(f *rpcdriver.Frame) bool {
			f.Payload = f.Payload[:min(len(f.Payload), 64<<10)]
			return true
		}),
	},
	{
		Name: "rpc-swapped", Breaks: "the tenth message of each direction comes after the eleventh",
		CaughtBy: cases("rpc/server-stream", "rpc/client-stream", "rpc/long-stream"),
		Open:     withFrames(swapsTenth),
	},
	{
		Name: "rpc-seventh-lost", Breaks: "the seventh message of each direction is lost",
		CaughtBy: cases("rpc/server-stream", "rpc/client-stream", "rpc/both-streams"),
		Open:     withNth(7, func(f rpcdriver.Frame) []rpcdriver.Frame { return nil }),
	},
	{
		Name: "rpc-seventh-twice", Breaks: "the seventh message of each direction comes twice",
		CaughtBy: cases("rpc/server-stream", "rpc/client-stream", "rpc/both-streams"),
		Open:     withNth(7, func(f rpcdriver.Frame) []rpcdriver.Frame { return []rpcdriver.Frame{f, f} }),
	},
	{
		Name: "rpc-last-lost", Breaks: "a message right before the end is lost where there were others", CaughtBy: cases("rpc/client-stream", "rpc/server-stream"),
		Open: withNth(100, func(f rpcdriver.Frame) []rpcdriver.Frame { return nil }),
	},
	{
		Name: "rpc-crosstalk", Breaks: "a reply goes to the next caller", CaughtBy: cases("rpc/concurrent"),
		Open: crosstalk(),
	},
	{
		Name: "rpc-names-folded", Breaks: "names are folded to lower case", CaughtBy: cases("rpc/names"),
		Open: carriedBy("mem://", carrying{service: strings.ToLower}),
	},
	{
		Name: "rpc-code-unknown", Breaks: "all failures are Unknown", CaughtBy: cases("rpc/codes", "rpc/unimplemented", "rpc/panic"),
		Open: withStatus(func(s *rpcdriver.Status) {
			if s.Code != 0 {
				s.Code = 2
			}
		}),
	},
	{
		Name: "rpc-message-ascii", Breaks: "the message of a status is cut to ASCII", CaughtBy: cases("rpc/codes"),
		Open: withStatus(func(s *rpcdriver.Status) {
			s.Message = strings.Map(func(r rune) rune { return min(r, '~') }, s.Message)
		}),
	},
	{
		Name: "rpc-details-lost", Breaks: "the details of a status are lost", CaughtBy: cases("rpc/details"),
		Open: withStatus(func(s *rpcdriver.Status) { s.Details = nil }),
	},
	{
		Name: "rpc-metadata-collapsed", Breaks: "of several values of a name the last one is left", CaughtBy: cases("rpc/metadata-in", "rpc/metadata-out"),
		Open: withMetadata(func(all []rpcdriver.Field) []rpcdriver.Field {
			var left []rpcdriver.Field
			for i, f := range all {
				if !slices.ContainsFunc(all[i+1:], func(later rpcdriver.Field) bool { return later.Name == f.Name }) {
					left = append(left, f)
				}
			}
			return left
		}),
	},
	{
		Name: "rpc-metadata-reversed", Breaks: "several values of a name come in another order", CaughtBy: cases("rpc/metadata-in", "rpc/metadata-out"),
		Open: withMetadata(func(all []rpcdriver.Field) []rpcdriver.Field {
			slices.Reverse(all)
			return all
		}),
	},
	{
		Name: "rpc-metadata-text", Breaks: "metadata is cut to text", CaughtBy: cases("rpc/metadata-in", "rpc/metadata-out"),
		Open: withMetadata(func(all []rpcdriver.Field) []rpcdriver.Field {
			for i := range all {
				all[i].Value = bytes.ToValidUTF8(all[i].Value, []byte("?"))
			}
			return all
		}),
	},
	{
		Name: "rpc-trailers-lost", Breaks: "trailers are lost with a failure", CaughtBy: cases("rpc/metadata-out"),
		Open: withFrame(func(f *rpcdriver.Frame) bool {
			if f.Kind == rpcdriver.FrameTrailers && f.Status.Code != 0 {
				f.Metadata = nil
			}
			return true
		}),
	},
	{
		Name: "rpc-timeout-lost", Breaks: "the deadline does not reach the handler", CaughtBy: cases("rpc/deadline"),
		Open: carriedBy("mem://", carrying{call: func(c *rpcdriver.Call) { c.Timeout = 0 }}),
	},
}

// withNth opens memory providers that replace the nth message in each direction
// of each call.
func withNth(n int, replace func(rpcdriver.Frame) []rpcdriver.Frame) conformance.Opener {
	return withFrames(func() func([]rpcdriver.Frame) []rpcdriver.Frame {
		count := 0
		return func(frames []rpcdriver.Frame) []rpcdriver.Frame {
			var out []rpcdriver.Frame
			for _, f := range frames {
				if f.Kind == rpcdriver.FrameMessage {
					count++
				}
				if f.Kind == rpcdriver.FrameMessage && count == n {
					out = append(out, replace(f)...)
				} else {
					out = append(out, f)
				}
			}
			return out
		}
	})
}

// swapsTenth returns a filter that holds the tenth message back until another frame
// comes that is not a credit.
func swapsTenth() func([]rpcdriver.Frame) []rpcdriver.Frame {
	count := 0
	var held []rpcdriver.Frame
	return func(frames []rpcdriver.Frame) []rpcdriver.Frame {
		var out []rpcdriver.Frame
		for _, f := range frames {
			switch f.Kind {
			case rpcdriver.FrameCredit:
				out = append(out, f)
				continue
			case rpcdriver.FrameMessage:
				if count++; count == 10 {
					held = append(held, f)
					continue
				}
				out = append(append(out, f), held...)
			default:
				out = append(append(out, held...), f)
			}
			held = nil
		}
		return out
	}
}

// crosstalk opens memory providers that exchange the replies of calls.
func crosstalk() conformance.Opener {
	var mu sync.Mutex
	var waiting []byte
	return carriedBy("mem://", carrying{server: func(s rpcdriver.Stream) rpcdriver.Stream {
		return framed{Stream: s, out: each(func(f *rpcdriver.Frame) bool {
			mu.Lock()
			defer mu.Unlock()
			if f.Kind == rpcdriver.FrameMessage {
				f.Payload, waiting = waiting, f.Payload
			}
			return true
		})}
	}})
}
