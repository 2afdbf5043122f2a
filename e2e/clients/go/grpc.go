package main

import (
	"context"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	_ "google.golang.org/grpc/xds" // the scheme xds
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// The one method that all servers have.
const method = "/rollcall.e2e.Who/Answers"

// Opens a channel as a program that uses grpc-go would.
func newGrpc(target string) (caller, error) {
	channel, err := grpc.NewClient(target, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context) (string, error) {
		var answer wrapperspb.StringValue
		err := channel.Invoke(ctx, method, &emptypb.Empty{}, &answer)
		return answer.GetValue(), err
	}, nil
}
