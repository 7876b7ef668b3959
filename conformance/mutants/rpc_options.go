package mutants

import (
	"context"
	"slices"

	"fairlead.dev"
	"fairlead.dev/conformance"
	rpcdriver "fairlead.dev/rpc/driver"
)

// rpcOptionMutants ignore call options, and mix up streams.
var rpcOptionMutants = []Mutant{
	{
		Name: "rpc-encoding-lost", Breaks: "the server does not learn that messages are compressed", CaughtBy: cases("rpc/compression"),
		Open: withoutField("grpc-encoding"),
	},
	{
		Name: "rpc-content-type-lost", Breaks: "the server does not learn in which codec messages are", CaughtBy: cases("rpc/json"),
		Open: withoutField("content-type"),
	},
	{
		Name: "rpc-over-limit-empty", Breaks: "messages above 4 MiB arrive empty", CaughtBy: cases("rpc/over-limit"),
		Open: withFrame(func(f *rpcdriver.Frame) bool {
			if len(f.Payload) > 4<<20 {
				f.Payload = nil
			}
			return true
		}),
	},
	{
		Name: "rpc-no-server-final", Breaks: "a name without a server fails with an error that says it will stay so", CaughtBy: cases("rpc/wait-for-ready"),
		Open: carriedBy("mem://", carrying{open: func(ctx context.Context, next opening, c rpcdriver.StreamConfig) (rpcdriver.Stream, error) {
			s, err := next(ctx, c)
			if fairlead.CodeOf(err) == fairlead.Unavailable {
				err = fairlead.Errorf(fairlead.PermissionDenied, "%w", err)
			}
			return s, err
		}}),
	},
	{
		Name: "rpc-details-lost-late", Breaks: "the details of a status are lost where messages went before", CaughtBy: cases("rpc/details-stream"),
		Open: withFrames(func() func([]rpcdriver.Frame) []rpcdriver.Frame {
			messages := 0
			return each(func(f *rpcdriver.Frame) bool {
				if f.Kind == rpcdriver.FrameMessage {
					messages++
				}
				if messages > 0 {
					f.Status.Details = nil
				}
				return true
			})
		}),
	},
	{
		Name: "rpc-cancel-lost-blocked", Breaks: "the end of a call at the client does not reach a server that waits to send", CaughtBy: cases("rpc/cancel-blocked"),
		Open: carriedBy("mem://", carrying{client: func(s rpcdriver.Stream) rpcdriver.Stream { return neverCloses{s} }}),
	},
	{
		Name: "rpc-crosstalk-streams", Breaks: "the answers of streams are mixed up", CaughtBy: cases("rpc/many-streams"),
		Open: crosstalk(),
	},
}

// withoutField opens memory providers that lose a name of the metadata of a
// call.
func withoutField(name string) conformance.Opener {
	return carriedBy("mem://", carrying{call: func(c *rpcdriver.Call) {
		c.Metadata = slices.DeleteFunc(c.Metadata, func(f rpcdriver.Field) bool { return f.Name == name })
	}})
}
