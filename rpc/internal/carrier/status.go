package carrier

import (
	"context"
	"errors"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"fairlead.dev/rpc/driver"
)

// statusFromError returns the status for the error of a handler.
func statusFromError(err error) driver.Status {
	if err == nil {
		return driver.Status{}
	}
	st, ok := status.FromError(err)
	if !ok {
		st = status.FromContextError(err)
	}
	out := driver.Status{Code: uint32(st.Code()), Message: st.Message()}
	if p := st.Proto(); len(p.GetDetails()) > 0 {
		// If this fails, the details are left out: the code and the message matter more.
		out.Details, _ = proto.Marshal(p)
	}
	return out
}

// errorFromStatus returns the error for a caller, nil for success. It leaves out
// details that cannot be decoded, or that belong to another code.
func errorFromStatus(s driver.Status) error {
	if codes.Code(s.Code) == codes.OK {
		return nil
	}
	st := status.New(codes.Code(s.Code), s.Message)
	if len(s.Details) > 0 {
		p := status.New(codes.OK, "").Proto()
		if proto.Unmarshal(s.Details, p) == nil && uint32(p.GetCode()) == s.Code {
			st = status.FromProto(p)
		}
	}
	return st.Err()
}

var (
	errConnClosed     = status.Error(codes.Canceled, "the connection is closed")
	errNoReply        = status.Error(codes.Internal, "cardinality violation: no response message from non-server-streaming RPC")
	errServerStopped  = status.Error(codes.Unavailable, "the server was stopped")
	errProviderClosed = status.Error(codes.Unavailable, "the provider is closed")
	errHandlerExited  = status.Error(codes.Internal, "the handler ended its goroutine without returning")
	errClientGone     = status.Error(codes.Canceled, "the client has ended the call")
)

// contextError returns the reason why the context of a call ended, as a status
// error.
func contextError(ctx context.Context) error {
	if errors.Is(context.Cause(ctx), errConnClosed) {
		return errConnClosed
	}
	return status.FromContextError(ctx.Err()).Err()
}
