# CPU image:  docker build -t harmony-dreamerv3 .
# GPU image:  docker build --build-arg EXTRAS=cuda,dmc -t harmony-dreamerv3:gpu .
#             docker run --gpus all -v $PWD/runs:/runs harmony-dreamerv3:gpu \
#               train --configs atari100k --task atari_pong --harmony True --logdir /runs/pong
FROM python:3.12-slim

# Software rendering for dm_control and Meta-world.
RUN apt-get update \
    && apt-get install -y --no-install-recommends libegl1 libgl1-mesa-dri libosmesa6 \
    && rm -rf /var/lib/apt/lists/*
ENV MUJOCO_GL=egl PYTHONUNBUFFERED=1

ARG EXTRAS=dmc
WORKDIR /app
COPY . .
RUN pip install --no-cache-dir ".[${EXTRAS}]"

WORKDIR /runs
ENTRYPOINT ["harmony-dreamerv3"]
CMD ["doctor"]
