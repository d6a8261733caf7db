import type { Project } from "./project.ts";

/** The project that Nest's current CLI generates: ES modules, tested with Vitest. */
export const nest: Project = nestProject("NestJS 12 by its CLI", "@nestjs/cli@12", ".js");

/** The project that the CLI generated before Nest 12: CommonJS, tested with Jest and ts-jest. */
export const nest11: Project = nestProject("NestJS 11 by its CLI, with its Jest", "@nestjs/cli@11", "");

/** @param extension how the template's files import each other */
function nestProject(title: string, cli: string, extension: ".js" | ""): Project {
  return {
    title,
    start: { nest: cli },
    dependencies: () => [
      "@tenure/core",
      "@tenure/express-session",
      "express-session",
      "@types/express-session",
    ],
    files: ({ read }) => ({
      "src/account.module.ts": accountModule,
      // The only change to the template: it imports the module.
      "src/app.module.ts": read("src/app.module.ts")
        .replace("imports: []", "imports: [AccountModule]")
        .replace(/^/u, `import { AccountModule } from './account.module${extension}';\n`),
      "test/account.e2e-spec.ts": accountTest(extension),
    }),
    scripts: ["build", "test", "test:e2e"],
    application: { script: "start:prod" },
  };
}

const accountModule = `import {
  ConflictException,
  Controller,
  Get,
  MiddlewareConsumer,
  Module,
  NestModule,
  Post,
  Req,
  UnauthorizedException,
} from '@nestjs/common';
import { memoryStore, Sessions } from '@tenure/core';
import { expressSessionStore, secureCookie } from '@tenure/express-session';
import type { Request } from 'express';
import session from 'express-session';

const sessions = new Sessions({ store: memoryStore(), idleTimeout: '30m', lifetime: '12h' });
const store = expressSessionStore(sessions);

@Controller()
export class AccountController {
  @Post('login')
  async login(@Req() req: Request): Promise<string> {
    const { refused } = await store.logIn(req, 'ada');
    if (refused) throw new ConflictException(refused);
    return 'hello';
  }

  @Post('everywhere')
  async everywhere(@Req() req: Request): Promise<string> {
    return String(await store.logOutEverywhere(req));
  }

  @Get('me')
  me(@Req() req: Request): string {
    const user = store.userOf(req);
    if (user === null) throw new UnauthorizedException();
    return user;
  }
}

@Module({ controllers: [AccountController] })
export class AccountModule implements NestModule {
  configure(consumer: MiddlewareConsumer): void {
    consumer
      .apply(
        session({
          store,
          secret: 'a secret of a test, as long as secrets should be',
          ...secureCookie(sessions, { secure: false, name: 'id' }),
          resave: false,
          saveUninitialized: false,
        }),
      )
      .forRoutes(AccountController);
  }
}
`;

const accountTest = (extension: string): string => `import { INestApplication } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import request from 'supertest';
import { App } from 'supertest/types${extension}';
import { AppModule } from './../src/app.module${extension}';

describe('An account (e2e)', () => {
  let app: INestApplication<App>;

  beforeEach(async () => {
    const fixture = await Test.createTestingModule({ imports: [AppModule] }).compile();
    app = fixture.createNestApplication();
    await app.init();
  });

  afterEach(() => app.close());

  it('is logged out of everywhere', async () => {
    const [phone, laptop] = [request.agent(app.getHttpServer()), request.agent(app.getHttpServer())];
    await phone.get('/me').expect(401);
    await phone.post('/login').expect(201);
    await laptop.post('/login').expect(201);
    await phone.get('/me').expect(200).expect('ada');
    await laptop.post('/everywhere').expect(201).expect('2');
    await phone.get('/me').expect(401);
    await laptop.get('/me').expect(401);
  });
});
`;
