# Builds infernet with libsecp256k1 compiled in, and runs it as a user without rights. The folder /data keeps its keys,
# ledger and events:
#
#   docker build -t infernet . && docker run --rm -p 127.0.0.1:3000:3000 -v infernet:/data infernet relay
FROM golang:1.26-bookworm AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
RUN go build -trimpath -tags libsecp256k1 -ldflags '-s -w' -o /infernet ./cmd/infernet

FROM debian:bookworm-slim
RUN useradd --system --uid 10001 --home-dir /data infernet && install -d -o infernet -m 0700 /data
COPY --from=build /infernet /usr/local/bin/infernet
USER infernet
ENV INFERNET_DATA_DIR=/data INFERNET_RELAY_LISTEN=0.0.0.0:3000
VOLUME /data
EXPOSE 3000
ENTRYPOINT ["infernet"]
CMD ["up"]
