package rpc

import (
	"context"
	"errors"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"fairlead.dev"
	"fairlead.dev/rpc/driver"
)

// toStatus returns how a handler's error travels.
func toStatus(err error) driver.Status {
	if err == nil {
		return driver.Status{}
	}
	st, ok := status.FromError(err)
	if !ok {
		st = status.FromContextError(err)
	}
	out := driver.Status{Code: uint32(st.Code()), Message: st.Message()}
	if p := st.Proto(); len(p.GetDetails()) > 0 {
		// An error leaves the details out: the rest of the status matters more.
		out.Details, _ = proto.Marshal(p)
	}
	return out
}

// fromStatus returns the error that a caller gets, nil for success. Details
// that cannot be decoded, or that belong to another code, are left out.
func fromStatus(s driver.Status) error {
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

var statusCodes = map[fairlead.Code]codes.Code{
	fairlead.Unavailable:      codes.Unavailable,
	fairlead.Closed:           codes.Unavailable,
	fairlead.NotFound:         codes.Unavailable, // there is no server
	fairlead.Unsupported:      codes.FailedPrecondition,
	fairlead.Invalid:          codes.InvalidArgument,
	fairlead.TooLarge:         codes.ResourceExhausted,
	fairlead.PermissionDenied: codes.PermissionDenied,
	fairlead.DeadlineExceeded: codes.DeadlineExceeded,
	fairlead.Canceled:         codes.Canceled,
	fairlead.Internal:         codes.Internal,
}

// toRPCError returns an error of a driver or a context as a status error. One
// that is a status already stays.
func toRPCError(err error) error {
	var e *fairlead.Error
	if !errors.As(err, &e) {
		if _, ok := status.FromError(err); ok {
			return err
		}
	}
	code, ok := statusCodes[fairlead.CodeOf(err)]
	if !ok {
		code = codes.Unknown
	}
	return status.Error(code, err.Error())
}

var (
	errConnClosed     = status.Error(codes.Canceled, "the connection is closed")
	errNoReply        = status.Error(codes.Internal, "cardinality violation: no response message from non-server-streaming RPC")
	errServerStopped  = status.Error(codes.Unavailable, "the server was stopped")
	errProviderClosed = status.Error(codes.Unavailable, "the provider is closed")
	errLeft           = status.Error(codes.Internal, "the handler left its goroutine")
	errClientGone     = status.Error(codes.Canceled, "the client has given the call up")
)

// contextError returns why the context of a call ended, as a status error.
func contextError(ctx context.Context) error {
	if errors.Is(context.Cause(ctx), errConnClosed) {
		return errConnClosed
	}
	return status.FromContextError(ctx.Err()).Err()
}
